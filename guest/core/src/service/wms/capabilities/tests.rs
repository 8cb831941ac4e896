//! Capabilities of a rich layer tree, as snapshots. They were checked against the OGC's DTDs and schemas with xmllint;
//! check again whenever a snapshot changes on purpose.

use super::document::Capabilities;
use super::layer::LayerView;
use super::tile_sets::tile_sets;
use crate::config::model::{
    InspireConformity, InspireEmbedded, InspireKeywords, InspireMetadata, InspireTemporal, Languages, LayerTree,
    MetadataUrl, TileLayer, WmsVersion,
};
use crate::coverage::MapExtent;
use crate::grid::TileGrid;
use crate::service::wms::fixture;
use crate::srs::BBox;

const SERVICE_URL: &str = "http://localhost/service?";

fn document(version: WmsVersion, tree: &LayerTree) -> String {
    let service = fixture::service();
    let legend_size = |name: &str| (name == "rich").then_some((100, 200));
    let root = LayerView::tree(tree, &service, version, SERVICE_URL, &legend_size);
    Capabilities::new(&service, version, SERVICE_URL, &root, None).to_xml()
}

#[test]
fn version_100() {
    insta::assert_snapshot!(document(WmsVersion::V100, &fixture::tree()));
}

#[test]
fn version_110() {
    insta::assert_snapshot!(document(WmsVersion::V110, &fixture::tree()));
}

#[test]
fn version_111() {
    insta::assert_snapshot!(document(WmsVersion::V111, &fixture::tree()));
}

#[test]
fn version_130() {
    insta::assert_snapshot!(document(WmsVersion::V130, &fixture::tree()));
}

#[test]
fn a_single_top_layer_is_the_root() {
    let tree = fixture::tree();
    let tree = LayerTree {
        roots: tree.roots.into_iter().skip(1).collect(),
    };
    let document = document(WmsVersion::V111, &tree);
    assert_eq!(document.matches("<Layer").count(), 1, "{document}");
    assert!(document.contains("<Name>scaled</Name>"), "{document}");
    assert!(document.contains("<SRS>EPSG:25832</SRS>"), "{document}");
}

#[test]
fn no_layer_at_all_is_still_a_document() {
    let document = document(WmsVersion::V130, &LayerTree::default());
    assert!(
        document.contains("<westBoundLongitude>-180</westBoundLongitude>"),
        "{document}"
    );
}

#[test]
fn tile_sets_are_told_to_tiling_clients() {
    let service = fixture::service();
    let tree = fixture::tree();
    let root = LayerView::tree(&tree, &service, WmsVersion::V111, SERVICE_URL, &|_| None);
    let layer = TileLayer {
        name: "mercator".to_owned(),
        title: "Mercator".to_owned(),
        cache: "cache".to_owned(),
        grid: "GLOBAL_MERCATOR".to_owned(),
        srs_path: "EPSG900913".to_owned(),
        format: "png".to_owned(),
        mime: "image/png".to_owned(),
        extent: MapExtent::new(BBox::new(-180.0, -90.0, 180.0, 90.0), fixture::srs("EPSG:4326")),
        dimensions: Vec::new(),
        md: None,
        info_sources: Vec::new(),
        legendurl: None,
        wmts_kvp_legendurl: None,
        wmts_rest_legendurl: None,
        has_legend: false,
    };
    let grid = |name: &str| Ok(TileGrid::predefined(name).unwrap().build().unwrap().into());
    let sets = tile_sets(&[layer], grid).unwrap();
    let document = Capabilities::new(&service, WmsVersion::V111, SERVICE_URL, &root, Some(sets)).to_xml();
    let start = document.find("<VendorSpecificCapabilities>").unwrap();
    let end = document.find("</VendorSpecificCapabilities>").unwrap();
    insta::assert_snapshot!(document.get(start..end).unwrap());
}

fn inspire(inspire: InspireMetadata) -> String {
    let service = crate::config::model::WmsService {
        inspire_md: Some(inspire),
        ..fixture::service()
    };
    let tree = fixture::tree();
    let root = LayerView::tree(&tree, &service, WmsVersion::V130, SERVICE_URL, &|_| None);
    let document = Capabilities::new(&service, WmsVersion::V130, SERVICE_URL, &root, None).to_xml();
    let start = document.find("<inspire_vs:ExtendedCapabilities>").unwrap();
    let end = document.find("</inspire_vs:ExtendedCapabilities>").unwrap();
    document.get(start..end).unwrap().to_owned()
}

fn metadata_url() -> MetadataUrl {
    MetadataUrl {
        url: "http://example.org/metadata".to_owned(),
        media_type: Some("application/vnd.iso.19139+xml".to_owned()),
        kind: None,
    }
}

fn languages() -> Languages {
    Languages {
        default: "eng".to_owned(),
        others: vec!["ger".to_owned()],
    }
}

#[test]
fn inspire_metadata_may_be_linked() {
    insta::assert_snapshot!(inspire(InspireMetadata::Linked {
        metadata_url: metadata_url(),
        languages: languages()
    }));
}

#[test]
fn inspire_metadata_may_be_embedded() {
    let date = || Some("2010-12-08".to_owned());
    insta::assert_snapshot!(inspire(InspireMetadata::Embedded(Box::new(InspireEmbedded {
        resource_locators: vec![metadata_url()],
        temporal_reference: Some(InspireTemporal {
            date_of_creation: date(),
            ..InspireTemporal::default()
        }),
        conformities: vec![InspireConformity {
            title: "test".to_owned(),
            uris: vec!["urn:x".to_owned()],
            date_of_publication: date(),
            resource_locators: vec![metadata_url()],
            degree: "notEvaluated".to_owned(),
            ..InspireConformity::default()
        }],
        metadata_points_of_contact: vec![("Example Inc.".to_owned(), "bar@example.org".to_owned())],
        mandatory_keywords: vec!["infoMapAccessService".to_owned()],
        keywords: vec![InspireKeywords {
            title: "GEMET - INSPIRE themes".to_owned(),
            date_of_last_revision: date(),
            keyword_value: "Orthoimagery".to_owned(),
            ..InspireKeywords::default()
        }],
        metadata_date: date(),
        metadata_url: Some(metadata_url()),
        languages: languages(),
    }))));
}
