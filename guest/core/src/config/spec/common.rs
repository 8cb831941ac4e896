//! Keys that several sections share: images, coverages, HTTP, resolution ranges.

use super::{Key, Section, Type};

pub(super) static TEXTS: Type = Type::List(&Type::Text);
pub(super) static NUMBERS: Type = Type::List(&Type::Number);
pub(super) static RESAMPLING: Type = Type::Choice(&["nearest", "bilinear", "bicubic"]);

/// How an image is written.
pub(super) static IMAGE: Section = Section::new(
    "image",
    "How images are written; also the entries of `globals.image.formats`.",
    &[
        Key::new(
            "format",
            &Type::Text,
            "the key's own name",
            "Media type: `image/png`, `image/jpeg`, `image/gif`, `image/tiff`, `image/webp`.",
        ),
        Key::new(
            "mode",
            &Type::Choice(&["RGB", "RGBA", "P", "I", "L"]),
            "as needed",
            "Pixel mode.",
        ),
        Key::new(
            "colors",
            &Type::Int,
            "256 with `paletted`",
            "Number of colours of a palette; 0 is true colour.",
        ),
        Key::new(
            "transparent",
            &Type::Bool,
            "as the source",
            "Whether the image has a transparent background.",
        ),
        Key::new(
            "resampling_method",
            &RESAMPLING,
            "`globals.image.resampling_method`",
            "How pixels between the source's pixels are found.",
        ),
        Key::new(
            "encoding_options",
            &Type::Keys(&ENCODING),
            "",
            "Options of the encoder.",
        ),
        Key::new("merge_method", &Type::Any, "", "Deprecated, has no effect."),
    ],
);

static ENCODING: Section = Section {
    title: "encoding_options",
    doc: "Options of an image encoder.",
    keys: &[
        Key::new("jpeg_quality", &Type::Int, "90", "Quality of JPEG, 1 to 100."),
        Key::new(
            "quantizer",
            &Type::Choice(&["fastoctree", "mediancut"]),
            "fastoctree",
            "How the colours of a palette are chosen.",
        ),
        Key::new(
            "tiff_compression",
            &Type::Choice(&["raw", "tiff_lzw", "jpeg"]),
            "raw",
            "Compression of TIFF.",
        ),
    ],
    with: &[],
    others: Some(&Type::Any),
};

/// `image` of a source.
pub(super) static SOURCE_IMAGE: Section = Section {
    title: "image of a source",
    doc: "What a source's images are like, and what is done with them before they are used.",
    keys: &[
        Key::new(
            "opacity",
            &Type::Number,
            "1",
            "0 to 1: the image is blended with what lies below.",
        ),
        Key::new(
            "transparent_color",
            &Type::Color,
            "",
            "This colour becomes transparent.",
        ),
        Key::new(
            "transparent_color_tolerance",
            &Type::Number,
            "`globals.image.transparent_color_tolerance`",
            "How far a channel may be off.",
        ),
    ],
    with: &[&IMAGE],
    others: None,
};

static COVERAGES: Type = Type::List(&Type::Keys(&COVERAGE));

/// An area.
pub(in super::super) static COVERAGE: Section = Section::new(
    "coverage",
    "An area that limits a source or a cache: a box, polygons from a file, expired tiles, or a combination.",
    &[
        Key::new("bbox", &Type::BBox, "", "A box in `srs`."),
        Key::new("srs", &Type::Text, "", "Reference system of `bbox` or `datasource`."),
        Key::new("bbox_srs", &Type::Text, "", "Older name of `srs` beside `bbox`."),
        Key::new(
            "datasource",
            &Type::Either(&[Type::Text, NUMBERS_]),
            "",
            "File with polygons: WKT or GeoJSON text, or a shapefile.",
        ),
        Key::new("where", &Type::Text, "", "Selects features of the data source."),
        Key::new(
            "polygons",
            &Type::Text,
            "",
            "Older name of `datasource` for text files.",
        ),
        Key::new(
            "polygons_srs",
            &Type::Text,
            "",
            "Older name of `srs` beside `polygons`.",
        ),
        Key::new("ogr_datasource", &Type::Text, "", "Older name of `datasource`."),
        Key::new("ogr_where", &Type::Text, "", "Older name of `where`."),
        Key::new(
            "ogr_srs",
            &Type::Text,
            "",
            "Older name of `srs` beside `ogr_datasource`.",
        ),
        Key::new(
            "expire_tiles",
            &Type::Text,
            "",
            "File or directory with lists of expired tiles (`z/x/y` lines).",
        )
        .later(),
        Key::new("union", &COVERAGES, "", "Everything in any of these."),
        Key::new("intersection", &COVERAGES, "", "What is in all of these."),
        Key::new("difference", &COVERAGES, "", "The first without the others."),
        Key::new("clip", &Type::Bool, "false", "Cut images along the area's edge."),
    ],
);
const NUMBERS_: Type = Type::List(&Type::Number);

/// `http` of a source; the globals have one more key.
pub(super) static HTTP: Section = Section::new(
    "http",
    "How servers are asked.",
    &[
        Key::new(
            "method",
            &Type::Choice(&["AUTO", "GET", "POST"]),
            "AUTO",
            "`AUTO` is GET, unless an SLD body has to be sent.",
        ),
        Key::new(
            "client_timeout",
            &Type::Number,
            "60",
            "Seconds until an answer has to be complete; the global value also limits the wait for tile locks.",
        ),
        Key::new("ssl_no_cert_checks", &Type::Bool, "false", "Accept any certificate."),
        Key::new(
            "ssl_ca_certs",
            &Type::Text,
            "",
            "PEM file with the certificates to trust.",
        ),
        Key::new(
            "hide_error_details",
            &Type::Bool,
            "true",
            "Keep URLs and reasons out of error messages.",
        ),
        Key::new(
            "headers",
            &Type::Map(&Type::Text),
            "",
            "Headers sent with each request.",
        ),
        Key::new("manage_cookies", &Type::Bool, "false", "Keep the server's cookies.").later(),
    ],
);

/// Resolution limits of sources and layers.
pub(super) static SCALE_HINTS: Section = Section::new(
    "resolution limits",
    "Where a source or layer draws; either resolutions or scales.",
    &[
        Key::new(
            "min_res",
            &Type::Number,
            "",
            "Coarsest resolution, metres per pixel (the larger number).",
        ),
        Key::new(
            "max_res",
            &Type::Number,
            "",
            "Resolution from which on it draws no more.",
        ),
        Key::new("min_scale", &Type::Number, "", "Smallest scale denominator."),
        Key::new("max_scale", &Type::Number, "", "Largest scale denominator."),
    ],
);

pub(super) static KEYWORD_LIST: Section = Section::new(
    "keyword_list",
    "Keywords of one vocabulary.",
    &[
        Key::new("vocabulary", &Type::Text, "", "Name of the vocabulary."),
        Key::new("keywords", &TEXTS, "", "The keywords."),
    ],
);

pub(super) static ATTRIBUTION_TEXT: Section = Section::new(
    "attribution",
    "Text drawn into maps.",
    &[Key::new(
        "text",
        &Type::Text,
        "",
        "Drawn in the lower right corner of maps.",
    )],
);
