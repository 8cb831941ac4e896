//! `md` of services and layers, and `inspire_md`.

use super::{number, text, texts};
use crate::config::model::{
    Attribution, AttributionLogo, Contact, InspireConformity, InspireEmbedded, InspireKeywords, InspireMetadata,
    InspireTemporal, KeywordList, Languages, LayerMetadata, LayerUrl, MetadataUrl, ServiceMetadata,
};
use crate::config::yaml::Node;

/// `md` of a service; what it does not say comes from `fallback` (that of the WMS).
pub(super) fn service(own: Option<&Node>, fallback: Option<&Node>, default_title: &str) -> ServiceMetadata {
    let get = |key: &str| {
        own.and_then(|md| md.get(key))
            .or_else(|| fallback.and_then(|md| md.get(key)))
    };
    let get_text = |key: &str| get(key).and_then(Node::as_text);
    ServiceMetadata {
        title: get_text("title").unwrap_or_else(|| default_title.to_owned()),
        abstract_text: get_text("abstract"),
        online_resource: get_text("online_resource"),
        contact: get("contact").filter(|contact| contact.is_map()).map(contact),
        fees: get_text("fees"),
        access_constraints: get_text("access_constraints"),
        keyword_list: get("keyword_list").map(keyword_lists).unwrap_or_default(),
    }
}

fn contact(node: &Node) -> Contact {
    Contact {
        person: text(node, "person"),
        position: text(node, "position"),
        organization: text(node, "organization"),
        address: text(node, "address"),
        address_type: text(node, "address_type"),
        city: text(node, "city"),
        state: text(node, "state"),
        postcode: text(node, "postcode"),
        country: text(node, "country"),
        phone: text(node, "phone"),
        fax: text(node, "fax"),
        email: text(node, "email"),
    }
}

fn keyword_lists(node: &Node) -> Vec<KeywordList> {
    node.items()
        .iter()
        .map(|list| KeywordList {
            vocabulary: text(list, "vocabulary"),
            keywords: texts(list, "keywords"),
        })
        .collect()
}

/// `md` of a layer.
pub(super) fn layer(node: &Node) -> LayerMetadata {
    let urls = |key: &str| {
        node.get(key)
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(layer_url)
            .collect()
    };
    LayerMetadata {
        abstract_text: text(node, "abstract"),
        keyword_list: node.get("keyword_list").map(keyword_lists).unwrap_or_default(),
        attribution: node.get("attribution").map(|attribution| Attribution {
            title: text(attribution, "title"),
            url: text(attribution, "url"),
            logo: attribution.get("logo").map(|logo| AttributionLogo {
                url: text(logo, "url").unwrap_or_default(),
                width: number(logo, "width").unwrap_or(0.0) as u32,
                height: number(logo, "height").unwrap_or(0.0) as u32,
                format: text(logo, "format").unwrap_or_default(),
            }),
        }),
        identifier: node
            .get("identifier")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .map(|id| {
                (
                    text(id, "url").unwrap_or_default(),
                    text(id, "name").unwrap_or_default(),
                    text(id, "value").unwrap_or_default(),
                )
            })
            .collect(),
        metadata: urls("metadata"),
        data: urls("data"),
        feature_list: urls("feature_list"),
    }
}

fn layer_url(node: &Node) -> Option<LayerUrl> {
    Some(LayerUrl {
        url: text(node, "url")?,
        kind: text(node, "type"),
        format: text(node, "format").unwrap_or_default(),
    })
}

/// `inspire_md`; what is missing was reported by the check of the keys.
pub(super) fn inspire(node: &Node) -> Option<InspireMetadata> {
    match text(node, "type")?.as_str() {
        "linked" => Some(InspireMetadata::Linked {
            metadata_url: node.get("metadata_url").and_then(metadata_url)?,
            languages: languages(node),
        }),
        "embedded" => Some(InspireMetadata::Embedded(Box::new(InspireEmbedded {
            resource_locators: metadata_urls(node, "resource_locators"),
            temporal_reference: node.get("temporal_reference").map(temporal),
            conformities: node
                .get("conformities")
                .map(Node::items)
                .unwrap_or_default()
                .iter()
                .map(conformity)
                .collect(),
            metadata_points_of_contact: node
                .get("metadata_points_of_contact")
                .map(Node::items)
                .unwrap_or_default()
                .iter()
                .map(|point| {
                    (
                        text(point, "organisation_name").unwrap_or_default(),
                        text(point, "email").unwrap_or_default(),
                    )
                })
                .collect(),
            mandatory_keywords: texts(node, "mandatory_keywords"),
            keywords: node
                .get("keywords")
                .map(Node::items)
                .unwrap_or_default()
                .iter()
                .map(keyword)
                .collect(),
            metadata_date: text(node, "metadata_date"),
            metadata_url: node.get("metadata_url").and_then(metadata_url),
            languages: languages(node),
        }))),
        _ => None,
    }
}

fn languages(node: &Node) -> Languages {
    let Some(languages) = node.get("languages") else {
        return Languages::default();
    };
    Languages {
        default: text(languages, "default").unwrap_or_default(),
        others: texts(languages, "others"),
    }
}

fn metadata_url(node: &Node) -> Option<MetadataUrl> {
    Some(MetadataUrl {
        url: text(node, "url")?,
        media_type: text(node, "media_type"),
        kind: text(node, "type"),
    })
}

fn metadata_urls(node: &Node, key: &str) -> Vec<MetadataUrl> {
    node.get(key)
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .filter_map(metadata_url)
        .collect()
}

fn temporal(node: &Node) -> InspireTemporal {
    InspireTemporal {
        date_of_publication: text(node, "date_of_publication"),
        date_of_creation: text(node, "date_of_creation"),
        date_of_last_revision: text(node, "date_of_last_revision"),
    }
}

fn conformity(node: &Node) -> InspireConformity {
    InspireConformity {
        title: text(node, "title").unwrap_or_default(),
        uris: texts(node, "uris"),
        date_of_publication: text(node, "date_of_publication"),
        date_of_creation: text(node, "date_of_creation"),
        date_of_last_revision: text(node, "date_of_last_revision"),
        resource_locators: metadata_urls(node, "resource_locators"),
        degree: text(node, "degree").unwrap_or_default(),
    }
}

fn keyword(node: &Node) -> InspireKeywords {
    InspireKeywords {
        title: text(node, "title").unwrap_or_default(),
        date_of_publication: text(node, "date_of_publication"),
        date_of_creation: text(node, "date_of_creation"),
        date_of_last_revision: text(node, "date_of_last_revision"),
        uris: texts(node, "uris"),
        resource_locators: metadata_urls(node, "resource_locators"),
        keyword_value: text(node, "keyword_value").unwrap_or_default(),
    }
}
