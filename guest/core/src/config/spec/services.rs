//! `services`.

use super::common::{ATTRIBUTION_TEXT, KEYWORD_LIST, TEXTS};
use super::{Key, Section, Type, Variant};

pub(super) static SERVICES: Section = Section::new(
    "services",
    "What clients can ask.",
    &[
        Key::new(
            "demo",
            &Type::Keys(&DEMO),
            "",
            "A page with maps of all layers, at `/demo/`.",
        ),
        Key::new("kml", &Type::Keys(&KML), "", "KML superoverlays, at `/kml`."),
        Key::new("tms", &Type::Keys(&TMS), "", "TMS at `/tms`, and tiles at `/tiles`."),
        Key::new("wmts", &Type::Keys(&WMTS), "", "WMTS at `/wmts` and `/service`."),
        Key::new("wms", &Type::Keys(&WMS), "", "WMS at `/wms` and `/service`."),
        Key::new("ogcapi", &Type::Keys(&OGCAPI), "", "OGC API Maps and Tiles.").later(),
    ],
);

static DEMO: Section = Section::new("services.demo", "The demo page.", &[]);

static KML: Section = Section::new(
    "services.kml",
    "KML superoverlays.",
    &[Key::new(
        "use_grid_names",
        &Type::Bool,
        "false",
        "Grid names in addresses in place of SRS codes.",
    )],
);

static TMS: Section = Section::new(
    "services.tms",
    "TMS and tiles.",
    &[
        Key::new(
            "use_grid_names",
            &Type::Bool,
            "false",
            "Grid names in addresses in place of SRS codes.",
        ),
        Key::new(
            "origin",
            &Type::Hint(&["sw", "nw"]),
            "the grid's",
            "Corner where `/tiles` counts rows from.",
        ),
    ],
);

static WMTS: Section = Section::new(
    "services.wmts",
    "WMTS.",
    &[
        Key::new(
            "kvp",
            &Type::Bool,
            "true if `restful` is unset",
            "Answer key-value requests.",
        ),
        Key::new(
            "restful",
            &Type::Bool,
            "true if `kvp` is unset",
            "Answer REST requests.",
        ),
        Key::new(
            "restful_template",
            &Type::Text,
            "`/{Layer}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}.{Format}`",
            "Addresses of tiles.",
        ),
        Key::new(
            "restful_featureinfo_template",
            &Type::Text,
            "`/{Layer}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}/{I}/{J}.{InfoFormat}`",
            "Addresses of feature information.",
        ),
        Key::new(
            "featureinfo_formats",
            &Type::List(&Type::Keys(&INFO_FORMAT)),
            "",
            "Formats of feature information.",
        ),
        Key::new(
            "md",
            &Type::Keys(&MD),
            "`services.wms.md`",
            "Metadata for capabilities.",
        ),
    ],
);

static INFO_FORMAT: Section = Section::new(
    "featureinfo_formats",
    "A format of feature information.",
    &[
        Key::new("mimetype", &Type::Text, "", "Media type.").required(),
        Key::new("suffix", &Type::Text, "", "What REST addresses end in."),
    ],
);

static MAX_PIXELS: Type = Type::Either(&[Type::Number, Type::Pair]);

static WMS: Section = Section::new(
    "services.wms",
    "WMS.",
    &[
        Key::new(
            "versions",
            &Type::List(&Type::Choice(&["1.0.0", "1.1.0", "1.1.1", "1.3.0"])),
            "all",
            "Versions that are spoken.",
        ),
        Key::new(
            "srs",
            &TEXTS,
            "[EPSG:4326, EPSG:4258, CRS:84, EPSG:900913, EPSG:3857]",
            "Reference systems that can be asked for.",
        ),
        Key::new(
            "bbox_srs",
            &Type::List(&Type::Either(&[Type::Text, Type::Keys(&BBOX_SRS)])),
            "[EPSG:3857, EPSG:4326, EPSG:900913]",
            "Systems in which capabilities give extents; with a box, requests are limited to it.",
        ),
        Key::new(
            "image_formats",
            &TEXTS,
            "[image/png, image/jpeg, image/gif, image/GeoTIFF, image/tiff]",
            "Formats that can be asked for.",
        ),
        Key::new(
            "attribution",
            &Type::Keys(&ATTRIBUTION_TEXT),
            "",
            "Text drawn into maps.",
        ),
        Key::new(
            "featureinfo_types",
            &TEXTS,
            "[text, html, xml, json]",
            "Kinds of feature information.",
        ),
        Key::new("featureinfo_xslt", &Type::Map(&Type::Text), "", "Stylesheet by kind."),
        Key::new(
            "on_source_errors",
            &Type::Hint(&["raise", "notify"]),
            "notify",
            "`raise`: an error of one source fails the map; `notify`: it is written into the map.",
        ),
        Key::new(
            "max_output_pixels",
            &MAX_PIXELS,
            "16000000",
            "Largest map: number of pixels, or width and height.",
        ),
        Key::new(
            "strict",
            &Type::Bool,
            "false",
            "Insist on all parameters the standard requires.",
        ),
        Key::new("concurrent_layer_renderer", &Type::Int, "1", "Layers drawn at a time."),
        Key::new("md", &Type::Keys(&MD), "", "Metadata for capabilities."),
        Key::new("inspire_md", &INSPIRE, "", "INSPIRE metadata for capabilities."),
    ],
);

static BBOX_SRS: Section = Section::new(
    "bbox_srs",
    "A reference system with the box it may be asked in.",
    &[
        Key::new("srs", &Type::Text, "", "Reference system."),
        Key::new("bbox", &Type::BBox, "", "The box."),
    ],
);

static MD: Section = Section::new(
    "md",
    "Metadata of a service.",
    &[
        Key::new("title", &Type::Text, "MapProxy WMS", "Title."),
        Key::new("abstract", &Type::Text, "", "Description."),
        Key::new("online_resource", &Type::Text, "", "Address of the provider."),
        Key::new("contact", &Type::Keys(&CONTACT), "", "Whom to ask."),
        Key::new("fees", &Type::Text, "", "Fees."),
        Key::new("access_constraints", &Type::Text, "", "Limits of use."),
        Key::new("keyword_list", &Type::List(&Type::Keys(&KEYWORD_LIST)), "", "Keywords."),
    ],
);

static CONTACT: Section = Section {
    title: "contact",
    doc: "Whom to ask.",
    keys: &[
        Key::new("person", &Type::Any, "", "Name."),
        Key::new("position", &Type::Any, "", "Position."),
        Key::new("organization", &Type::Any, "", "Organisation."),
        Key::new("address", &Type::Any, "", "Street and number."),
        Key::new("address_type", &Type::Any, "", "Kind of address."),
        Key::new("city", &Type::Any, "", "City."),
        Key::new("postcode", &Type::Any, "", "Postal code."),
        Key::new("state", &Type::Any, "", "State or province."),
        Key::new("country", &Type::Any, "", "Country."),
        Key::new("phone", &Type::Any, "", "Telephone."),
        Key::new("fax", &Type::Any, "", "Fax."),
        Key::new("email", &Type::Any, "", "E-mail address."),
    ],
    with: &[],
    others: Some(&Type::Any),
};

static INSPIRE: Type = Type::Tagged(&[
    Variant {
        name: "linked",
        keys: &INSPIRE_LINKED,
        supported: true,
    },
    Variant {
        name: "embedded",
        keys: &INSPIRE_EMBEDDED,
        supported: true,
    },
]);

static INSPIRE_LINKED: Section = Section::new(
    "inspire_md: linked",
    "INSPIRE metadata elsewhere.",
    &[
        Key::new("type", &Type::Text, "", "`linked`.").required(),
        Key::new("metadata_url", &Type::Keys(&RESOURCE), "", "Where the metadata is.").required(),
        Key::new("languages", &Type::Keys(&LANGUAGES), "", "Languages.").required(),
    ],
);

static RESOURCES: Type = Type::List(&Type::Keys(&RESOURCE));

static INSPIRE_EMBEDDED: Section = Section::new(
    "inspire_md: embedded",
    "INSPIRE metadata in the capabilities.",
    &[
        Key::new("type", &Type::Text, "", "`embedded`.").required(),
        Key::new("resource_locators", &RESOURCES, "", "Where the resource is.").required(),
        Key::new("temporal_reference", &Type::Keys(&TEMPORAL), "", "Dates.").required(),
        Key::new("conformities", &Type::List(&Type::Keys(&CONFORMITY)), "", "Conformity.").required(),
        Key::new(
            "metadata_points_of_contact",
            &Type::List(&Type::Keys(&POINT_OF_CONTACT)),
            "",
            "Whom to ask.",
        )
        .required(),
        Key::new("mandatory_keywords", &TEXTS, "", "Mandatory keywords.").required(),
        Key::new(
            "keywords",
            &Type::List(&Type::Keys(&INSPIRE_KEYWORD)),
            "",
            "Further keywords.",
        ),
        Key::new("metadata_date", &Type::Text, "", "Date of the metadata.").required(),
        Key::new("metadata_url", &Type::Keys(&RESOURCE), "", "Where the metadata is."),
        Key::new("languages", &Type::Keys(&LANGUAGES), "", "Languages.").required(),
    ],
);

static RESOURCE: Section = Section::new(
    "metadata_url, resource_locators",
    "An address with its media type.",
    &[
        Key::new("url", &Type::Text, "", "Address.").required(),
        Key::new("media_type", &Type::Text, "", "Media type.").required(),
    ],
);

static LANGUAGES: Section = Section {
    title: "languages",
    doc: "Languages.",
    keys: &[
        Key::new("default", &Type::Text, "", "Default language.").required(),
        Key::new("others", &TEXTS, "", "Further languages."),
    ],
    with: &[],
    others: None,
};

static TEMPORAL: Section = Section::new(
    "temporal_reference",
    "Dates; at least one.",
    &[
        Key::new("date_of_publication", &Type::Text, "", "Published."),
        Key::new("date_of_creation", &Type::Text, "", "Created."),
        Key::new("date_of_last_revision", &Type::Text, "", "Revised."),
    ],
);

static CONFORMITY: Section = Section {
    title: "conformities",
    doc: "Conformity with a specification.",
    keys: &[
        Key::new("title", &Type::Text, "", "Title of the specification."),
        Key::new("uris", &TEXTS, "", "Its addresses."),
        Key::new("resource_locators", &RESOURCES, "", "Where it is.").required(),
        Key::new("degree", &Type::Text, "", "Degree of conformity.").required(),
    ],
    with: &[&TEMPORAL],
    others: None,
};

static INSPIRE_KEYWORD: Section = Section {
    title: "keywords of inspire_md",
    doc: "A keyword of a vocabulary.",
    keys: &[
        Key::new("title", &Type::Text, "", "Title of the vocabulary.").required(),
        Key::new("uris", &TEXTS, "", "Its addresses."),
        Key::new("resource_locators", &RESOURCES, "", "Where it is."),
        Key::new("keyword_value", &Type::Text, "", "The keyword.").required(),
    ],
    with: &[&TEMPORAL],
    others: None,
};

static POINT_OF_CONTACT: Section = Section::new(
    "metadata_points_of_contact",
    "Whom to ask.",
    &[
        Key::new("organisation_name", &Type::Text, "", "Organisation."),
        Key::new("email", &Type::Text, "", "E-mail address."),
    ],
);

static OGCAPI: Section = Section::new(
    "services.ogcapi",
    "OGC API Maps and Tiles.",
    &[
        Key::new("enable_tiles", &Type::Bool, "true", "Offer tiles."),
        Key::new("enable_maps", &Type::Bool, "true", "Offer maps."),
        Key::new(
            "map_srs",
            &TEXTS,
            "[EPSG:4326, EPSG:3857]",
            "Reference systems of maps.",
        ),
        Key::new(
            "attribution",
            &Type::Keys(&ATTRIBUTION_TEXT),
            "",
            "Text drawn into maps.",
        ),
        Key::new(
            "on_source_errors",
            &Type::Hint(&["raise", "notify"]),
            "notify",
            "As for WMS.",
        ),
        Key::new("max_output_pixels", &MAX_PIXELS, "16000000", "Largest map."),
        Key::new(
            "image_formats",
            &TEXTS,
            "[image/png, image/jpeg]",
            "Formats that can be asked for.",
        ),
        Key::new("concurrent_layer_renderer", &Type::Int, "1", "Layers drawn at a time."),
        Key::new("default_dataset_layers", &TEXTS, "", "Layers of the whole dataset."),
        Key::new("md", &Type::Keys(&OGCAPI_MD), "", "Metadata."),
    ],
);

static OGCAPI_MD: Section = Section::new(
    "md of ogcapi",
    "Metadata.",
    &[
        Key::new("identification", &Type::Keys(&IDENTIFICATION), "", "What it is."),
        Key::new("contact", &Type::Keys(&OGCAPI_CONTACT), "", "Whom to ask."),
        Key::new("license", &Type::Keys(&LICENSE), "", "Licence."),
        Key::new("provider", &Type::Keys(&PROVIDER), "", "Provider."),
    ],
);

static IDENTIFICATION: Section = Section::new(
    "identification",
    "What it is.",
    &[
        Key::new("title", &Type::Text, "", "Title."),
        Key::new("description", &Type::Text, "", "Description."),
        Key::new("url", &Type::Text, "", "Address."),
        Key::new("terms_of_service", &Type::Text, "", "Terms of service."),
        Key::new("keywords", &Type::Any, "", "Keywords."),
    ],
);

static OGCAPI_CONTACT: Section = Section::new(
    "contact of ogcapi",
    "Whom to ask.",
    &[
        Key::new("name", &Type::Text, "", "Name."),
        Key::new("email", &Type::Text, "", "E-mail address."),
        Key::new("address", &Type::Text, "", "Street and number."),
        Key::new("city", &Type::Text, "", "City."),
        Key::new("stateorprovince", &Type::Text, "", "State or province."),
        Key::new("postalcode", &Type::Text, "", "Postal code."),
        Key::new("country", &Type::Text, "", "Country."),
        Key::new("phone", &Type::Text, "", "Telephone."),
        Key::new("fax", &Type::Text, "", "Fax."),
        Key::new("url", &Type::Text, "", "Address on the web."),
        Key::new("instructions", &Type::Text, "", "How to reach them."),
    ],
);

static LICENSE: Section = Section::new(
    "license",
    "Licence.",
    &[
        Key::new("name", &Type::Text, "", "Name.").required(),
        Key::new("url", &Type::Text, "", "Address."),
    ],
);

static PROVIDER: Section = Section::new(
    "provider",
    "Provider.",
    &[
        Key::new("name", &Type::Text, "", "Name."),
        Key::new("url", &Type::Text, "", "Address."),
    ],
);
