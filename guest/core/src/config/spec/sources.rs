//! `sources`.

use super::common::{COVERAGE, HTTP, IMAGE, SCALE_HINTS, SOURCE_IMAGE, TEXTS};
use super::{Key, Section, Type, Variant};

pub(super) static SOURCE: Type = Type::Tagged(&[
    Variant {
        name: "wms",
        keys: &WMS,
        supported: true,
    },
    Variant {
        name: "tile",
        keys: &TILE,
        supported: true,
    },
    Variant {
        name: "debug",
        keys: &DEBUG,
        supported: true,
    },
    Variant {
        name: "arcgis",
        keys: &ARCGIS,
        supported: true,
    },
    Variant {
        name: "mapserver",
        keys: &MAPSERVER_SOURCE,
        supported: true,
    },
    Variant {
        name: "mapnik",
        keys: &MAPNIK,
        supported: false,
    },
    Variant {
        name: "ogcapitiles",
        keys: &OGCAPI_TILES,
        supported: false,
    },
    Variant {
        name: "ogcapimaps",
        keys: &OGCAPI_MAPS,
        supported: false,
    },
]);

static ANY_SOURCE: Section = Section::new(
    "sources: all types",
    "Keys every source has.",
    &[
        Key::new("type", &Type::Text, "", "Type of the source.").required(),
        Key::new("coverage", &Type::Keys(&COVERAGE), "", "Area the source has data for."),
        Key::new("seed_only", &Type::Bool, "false", "Ask it while seeding only."),
        Key::new(
            "concurrent_requests",
            &Type::Int,
            "`globals.http.concurrent_requests`",
            "Requests to its server at a time; 0 is any number.",
        ),
    ],
);

static HTTP_KEYS: Section = Section::new(
    "sources: HTTP",
    "Keys of sources that are asked over HTTP.",
    &[
        Key::new("http", &Type::Keys(&HTTP), "`globals.http`", "How the server is asked."),
        Key::new(
            "on_error",
            &Type::Map(&Type::Keys(&ON_ERROR)),
            "",
            "By HTTP status (or `other`): what stands in for an answer.",
        ),
    ],
);

static ON_ERROR: Section = Section::new(
    "on_error",
    "What stands in for an answer.",
    &[
        Key::new(
            "response",
            &Type::Either(&[Type::Choice(&["transparent"]), Type::Color]),
            "",
            "`transparent`, or a colour.",
        )
        .required(),
        Key::new("cache", &Type::Bool, "false", "Whether that is stored."),
        Key::new(
            "authorize_stale",
            &Type::Bool,
            "false",
            "A tile that is too old is used in its place.",
        ),
    ],
);

static WMS: Section = Section {
    title: "sources: wms",
    doc: "A WMS.",
    keys: &[
        Key::new(
            "req",
            &Type::Keys(&WMS_REQ),
            "",
            "Where the server is and what it is asked.",
        )
        .required(),
        Key::new("wms_opts", &Type::Keys(&WMS_OPTS), "", "What the server can do."),
        Key::new("image", &Type::Keys(&SOURCE_IMAGE), "", "What its images are like."),
        Key::new("supported_formats", &TEXTS, "all", "Formats it can be asked for."),
        Key::new("supported_srs", &TEXTS, "all", "Reference systems it can be asked in."),
        Key::new(
            "forward_req_params",
            &TEXTS,
            "",
            "Parameters of the client's request that are passed on.",
        ),
    ],
    with: &[&ANY_SOURCE, &SCALE_HINTS, &HTTP_KEYS],
    others: None,
};

static WMS_REQ: Section = Section {
    title: "req",
    doc: "Parameters of requests, passed as they are.",
    keys: &[
        Key::new(
            "url",
            &Type::Text,
            "",
            "Address; may have a query part and `user:password@`.",
        )
        .required(),
        Key::new("layers", &Type::Any, "", "Layers to ask for."),
        Key::new(
            "transparent",
            &Type::Any,
            "false",
            "Ask for transparent images; sets `image.transparent` as well.",
        ),
        Key::new(
            "sld",
            &Type::Text,
            "",
            "Address of a style; with `file://` its content is sent as SLD_BODY.",
        ),
    ],
    with: &[],
    others: Some(&Type::Any),
};

static WMS_OPTS: Section = Section::new(
    "wms_opts",
    "What the server can do.",
    &[
        Key::new(
            "version",
            &Type::Choice(&["1.0.0", "1.1.0", "1.1.1", "1.3.0"]),
            "1.1.1",
            "Version it is asked in.",
        ),
        Key::new("map", &Type::Bool, "true", "It draws maps."),
        Key::new("featureinfo", &Type::Bool, "false", "It answers GetFeatureInfo."),
        Key::new("legendgraphic", &Type::Bool, "false", "It answers GetLegendGraphic."),
        Key::new(
            "legendurl",
            &Type::Text,
            "",
            "Address of a fixed legend (http, https, file).",
        ),
        Key::new("featureinfo_format", &Type::Text, "", "Media type it is asked for."),
        Key::new("featureinfo_xslt", &Type::Text, "", "Stylesheet for its answers."),
        Key::new(
            "featureinfo_out_format",
            &Type::Text,
            "",
            "Media type after the stylesheet.",
        ),
        Key::new(
            "query_layers",
            &Type::Text,
            "`req.layers`",
            "Layers to ask for information.",
        ),
    ],
);

static TILE: Section = Section {
    title: "sources: tile",
    doc: "A tile server.",
    keys: &[
        Key::new("url", &Type::Text, "", "Address with `%(z)s`, `%(x)s`, `%(y)s`, `%(quadkey)s`, `%(tc_path)s`, `%(tms_path)s`, `%(arcgiscache_path)s`, `%(bbox)s`, `%(format)s`.").required(),
        Key::new("transparent", &Type::Bool, "false", "Its tiles have a transparent background."),
        Key::new("image", &Type::Keys(&SOURCE_IMAGE), "", "What its images are like."),
        Key::new("grid", &Type::Text, "GLOBAL_MERCATOR", "Its grid."),
        Key::new("request_format", &Type::Text, "", "What `%(format)s` becomes."),
        Key::new("origin", &Type::Any, "", "Has no effect; the grid has one."),
    ],
    with: &[&ANY_SOURCE, &SCALE_HINTS, &HTTP_KEYS],
    others: None,
};

static DEBUG: Section = Section {
    title: "sources: debug",
    doc: "Draws box and resolution of each request.",
    keys: &[],
    with: &[&ANY_SOURCE, &SCALE_HINTS],
    others: None,
};

static ARCGIS: Section = Section {
    title: "sources: arcgis",
    doc: "An ArcGIS MapServer or ImageServer.",
    keys: &[
        Key::new(
            "req",
            &Type::Keys(&ARCGIS_REQ),
            "",
            "Where the server is and what it is asked.",
        )
        .required(),
        Key::new("opts", &Type::Keys(&ARCGIS_OPTS), "", "What the server can do."),
        Key::new("image", &Type::Keys(&SOURCE_IMAGE), "", "What its images are like."),
        Key::new("supported_srs", &TEXTS, "all", "Reference systems it can be asked in."),
    ],
    with: &[&ANY_SOURCE, &SCALE_HINTS, &HTTP_KEYS],
    others: None,
};

static ARCGIS_REQ: Section = Section {
    title: "req of arcgis",
    doc: "Parameters of requests.",
    keys: &[
        Key::new("url", &Type::Text, "", "Address of the service.").required(),
        Key::new("dpi", &Type::Int, "", "Pixels per inch."),
        Key::new("layers", &Type::Text, "", "`show:1,2`."),
        Key::new("transparent", &Type::Bool, "", "Ask for transparent images."),
        Key::new("time", &Type::Text, "", "Time."),
        Key::new("format", &Type::Text, "png", "Format."),
    ],
    with: &[],
    others: Some(&Type::Any),
};

static ARCGIS_OPTS: Section = Section::new(
    "opts",
    "What an ArcGIS server can do.",
    &[
        Key::new("map", &Type::Bool, "true", "It draws maps."),
        Key::new("featureinfo", &Type::Bool, "false", "It is asked about points."),
        Key::new("featureinfo_tolerance", &Type::Number, "5", "Pixels around the point."),
        Key::new(
            "featureinfo_return_geometries",
            &Type::Bool,
            "false",
            "Answers have geometries.",
        ),
    ],
);

pub(super) static MAPSERVER: Section = Section::new(
    "mapserver",
    "The MapServer program. The server's `--mapserver-binary` names it, in place of these.",
    &[
        Key::new("binary", &Type::Text, "", "Has no effect."),
        Key::new(
            "working_dir",
            &Type::Text,
            "",
            "Has no effect: it runs beside its map file.",
        ),
    ],
);

static MAPSERVER_SOURCE: Section = Section {
    title: "sources: mapserver",
    doc: "A map file for the MapServer program, which `--mapserver-binary` names.",
    keys: &[
        Key::new("req", &Type::Keys(&MAPSERVER_REQ), "", "What is asked.").required(),
        Key::new("mapserver", &Type::Keys(&MAPSERVER), "", "The program."),
        Key::new("wms_opts", &Type::Keys(&WMS_OPTS), "", "What the map file can do."),
        Key::new("image", &Type::Keys(&SOURCE_IMAGE), "", "What its images are like."),
        Key::new("supported_formats", &TEXTS, "all", "Formats it can be asked for."),
        Key::new("supported_srs", &TEXTS, "all", "Reference systems it can be asked in."),
        Key::new(
            "forward_req_params",
            &TEXTS,
            "",
            "Parameters of the client's request that are passed on.",
        ),
    ],
    with: &[&ANY_SOURCE, &SCALE_HINTS],
    others: None,
};

static MAPSERVER_REQ: Section = Section {
    title: "req of mapserver",
    doc: "Parameters of requests, passed as they are.",
    keys: &[Key::new("map", &Type::Text, "", "The map file.").required()],
    with: &[],
    others: Some(&Type::Any),
};

static MAPNIK: Section = Section {
    title: "sources: mapnik",
    doc: "A Mapnik map file.",
    keys: &[
        Key::new("mapfile", &Type::Text, "", "The map file.").required(),
        Key::new(
            "transparent",
            &Type::Bool,
            "false",
            "Images have a transparent background.",
        ),
        Key::new("image", &Type::Keys(&SOURCE_IMAGE), "", "What its images are like."),
        Key::new(
            "layers",
            &Type::Either(&[Type::List(&Type::Text), Type::Text]),
            "all",
            "Layers to draw.",
        ),
        Key::new("use_mapnik2", &Type::Bool, "false", "Has no effect."),
        Key::new("scale_factor", &Type::Number, "1", "Enlarges symbols and text."),
        Key::new("multithreaded", &Type::Bool, "false", "Has no effect."),
    ],
    with: &[&ANY_SOURCE, &SCALE_HINTS],
    others: None,
};

static OGCAPI_TILES: Section = Section {
    title: "sources: ogcapitiles",
    doc: "OGC API Tiles.",
    keys: &[
        Key::new("landingpage_url", &Type::Text, "", "Landing page.").required(),
        Key::new("collection", &Type::Text, "", "Collection; unset: the dataset."),
        Key::new("tile_matrix_set_id", &Type::Text, "", "Which of its tile matrix sets."),
        Key::new("image", &Type::Keys(&IMAGE), "", "What its images are like."),
    ],
    with: &[&ANY_SOURCE, &SCALE_HINTS, &HTTP_KEYS],
    others: None,
};

static OGCAPI_MAPS: Section = Section {
    title: "sources: ogcapimaps",
    doc: "OGC API Maps.",
    keys: &[
        Key::new("landingpage_url", &Type::Text, "", "Landing page.").required(),
        Key::new("collection", &Type::Text, "", "Collection; unset: the dataset."),
        Key::new("supported_srs", &TEXTS, "", "Reference systems it can be asked in."),
        Key::new("transparent", &Type::Bool, "", "Ask for transparent images."),
        Key::new("bgcolor", &Type::Color, "", "Background colour."),
        Key::new("image", &Type::Keys(&SOURCE_IMAGE), "", "What its images are like."),
    ],
    with: &[&ANY_SOURCE, &SCALE_HINTS, &HTTP_KEYS],
    others: None,
};
