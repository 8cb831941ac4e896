//! `layers`.

use super::common::{KEYWORD_LIST, SCALE_HINTS, TEXTS};
use super::{Key, Section, Type};

pub(super) static LAYER: Section = Section {
    title: "layers",
    doc: "A layer of the tree.",
    keys: &[
        Key::new(
            "name",
            &Type::Text,
            "",
            "Name for requests; a layer without one only groups others.",
        ),
        Key::new("title", &Type::Text, "", "Title for people.").required(),
        Key::new(
            "sources",
            &TEXTS,
            "",
            "Sources and caches it draws, bottom first; `source:layer1,layer2` picks layers of a WMS.",
        ),
        Key::new(
            "tile_sources",
            &TEXTS,
            "`sources`, if it is one cache",
            "Caches for the tile services.",
        ),
        Key::new("layers", &Type::Layers, "", "Layers below it."),
        Key::new(
            "legendurl",
            &Type::Text,
            "",
            "Address of a fixed legend (http, https, file).",
        ),
        Key::new(
            "wmts_kvp_legendurl",
            &Type::Text,
            "",
            "Legend in WMTS capabilities (key-value), with `{base_url}` and `{layer_name}`.",
        ),
        Key::new(
            "wmts_rest_legendurl",
            &Type::Text,
            "",
            "Legend in WMTS capabilities (REST).",
        ),
        Key::new("md", &Type::Keys(&LAYER_MD), "", "Metadata for capabilities."),
        Key::new(
            "dimensions",
            &Type::Map(&Type::Keys(&DIMENSION)),
            "",
            "Dimensions of the layer.",
        ),
        Key::new("nominal_res", &Type::Number, "", "Typical resolution, for OGC API.").later(),
        Key::new("nominal_scale", &Type::Number, "", "Typical scale, for OGC API.").later(),
    ],
    with: &[&SCALE_HINTS],
    others: None,
};

static DIMENSION: Section = Section::new(
    "dimensions",
    "A dimension with its values.",
    &[
        Key::new(
            "values",
            &Type::List(&Type::Text),
            "",
            "Values; one text `start/end/period` stands for a series.",
        )
        .required(),
        Key::new(
            "default",
            &Type::Text,
            "the last value",
            "Value if a client names none.",
        ),
    ],
);

static LAYER_MD: Section = Section::new(
    "md of a layer",
    "Metadata of a layer.",
    &[
        Key::new("abstract", &Type::Text, "", "Description."),
        Key::new("keyword_list", &Type::List(&Type::Keys(&KEYWORD_LIST)), "", "Keywords."),
        Key::new("attribution", &Type::Keys(&ATTRIBUTION), "", "Who is to be named."),
        Key::new(
            "identifier",
            &Type::List(&Type::Keys(&IDENTIFIER)),
            "",
            "Identifiers with their authority.",
        ),
        Key::new(
            "metadata",
            &Type::List(&Type::Keys(&LAYER_URL)),
            "",
            "Addresses of metadata.",
        ),
        Key::new("data", &Type::List(&Type::Keys(&LAYER_URL)), "", "Addresses of data."),
        Key::new(
            "feature_list",
            &Type::List(&Type::Keys(&LAYER_URL)),
            "",
            "Addresses of lists of features.",
        ),
    ],
);

static ATTRIBUTION: Section = Section::new(
    "attribution of a layer",
    "Who is to be named.",
    &[
        Key::new("title", &Type::Text, "", "Text."),
        Key::new("url", &Type::Text, "", "Address."),
        Key::new("logo", &Type::Keys(&LOGO), "", "Logo."),
    ],
);

static LOGO: Section = Section::new(
    "logo",
    "A logo.",
    &[
        Key::new("url", &Type::Text, "", "Address."),
        Key::new("width", &Type::Int, "", "Pixels."),
        Key::new("height", &Type::Int, "", "Pixels."),
        Key::new("format", &Type::Text, "", "Media type."),
    ],
);

static IDENTIFIER: Section = Section::new(
    "identifier",
    "An identifier.",
    &[
        Key::new("url", &Type::Text, "", "Address of the authority."),
        Key::new("name", &Type::Text, "", "Name of the authority."),
        Key::new("value", &Type::Text, "", "The identifier."),
    ],
);

static LAYER_URL: Section = Section::new(
    "metadata, data, feature_list",
    "An address with its format.",
    &[
        Key::new("url", &Type::Text, "", "Address."),
        Key::new("type", &Type::Text, "", "Type of the metadata: `TC211`, `FGDC`, …"),
        Key::new("format", &Type::Text, "", "Media type."),
    ],
);
