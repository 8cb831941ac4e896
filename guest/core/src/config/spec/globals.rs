//! `globals` and `grids`.

use super::common::{HTTP, IMAGE, NUMBERS, RESAMPLING, TEXTS};
use super::{Key, Section, Type};

pub(super) static GLOBALS: Section = Section::new(
    "globals",
    "Settings for everything.",
    &[
        Key::new("image", &Type::Keys(&GLOBAL_IMAGE), "", "Images."),
        Key::new(
            "http",
            &Type::Keys(&GLOBAL_HTTP),
            "",
            "Requests to other servers, and answers to clients.",
        ),
        Key::new("cache", &Type::Keys(&GLOBAL_CACHE), "", "Defaults of caches."),
        Key::new("grid", &Type::Keys(&GLOBAL_GRID), "", "Defaults of grids."),
        Key::new("srs", &Type::Keys(&GLOBAL_SRS), "", "Reference systems."),
        Key::new("tiles", &Type::Keys(&GLOBAL_TILES), "", "Tile services."),
        Key::new("wms", &Type::Any, "", "Older settings, without effect."),
        Key::new(
            "mapserver",
            &Type::Keys(&super::sources::MAPSERVER),
            "",
            "The MapServer program.",
        ),
        Key::new("renderd", &Type::Keys(&RENDERD), "", "A daemon that makes tiles.").later(),
        Key::new(
            "background",
            &Type::Keys(&BACKGROUND),
            "",
            "Background map of the demo page.",
        ),
    ],
);

static GLOBAL_IMAGE: Section = Section::new(
    "globals.image",
    "How images are read, transformed and written.",
    &[
        Key::new(
            "resampling_method",
            &RESAMPLING,
            "bicubic",
            "How pixels between the source's pixels are found.",
        ),
        Key::new(
            "paletted",
            &Type::Bool,
            "true",
            "Write PNG with 256 colours unless a format says otherwise.",
        ),
        Key::new(
            "stretch_factor",
            &Type::Number,
            "1.15",
            "How far a tile may be enlarged before the next level is used.",
        ),
        Key::new(
            "max_shrink_factor",
            &Type::Number,
            "4.0",
            "How far tiles may be reduced before a map stays empty.",
        ),
        Key::new("jpeg_quality", &Type::Int, "90", "Quality of JPEG, 1 to 100."),
        Key::new(
            "formats",
            &Type::Map(&Type::Keys(&IMAGE)),
            "",
            "Formats by media type or name; changes the built-in ones and adds new ones.",
        ),
        Key::new("font_dir", &Type::Text, "", "Directory with fonts.").later(),
        Key::new(
            "transparent_color_tolerance",
            &Type::Number,
            "5",
            "Default for sources with `transparent_color`.",
        ),
        Key::new("merge_method", &Type::Any, "", "Deprecated, has no effect."),
    ],
);

static GLOBAL_HTTP: Section = Section {
    title: "globals.http",
    doc: "Requests to other servers, and answers to clients.",
    keys: &[
        Key::new(
            "access_control_allow_origin",
            &Type::Text,
            "`*`",
            "`Access-Control-Allow-Origin` of every answer; empty switches it off.",
        ),
        Key::new(
            "concurrent_requests",
            &Type::Int,
            "0",
            "Requests to one server at a time; 0 is any number.",
        ),
    ],
    with: &[&HTTP],
    others: None,
};

static GLOBAL_CACHE: Section = Section::new(
    "globals.cache",
    "Defaults of caches.",
    &[
        Key::new(
            "base_dir",
            &Type::Text,
            "./cache_data",
            "Where caches are, relative to this file.",
        ),
        Key::new(
            "lock_dir",
            &Type::Text,
            "./cache_data/tile_locks",
            "Where locks of sources are.",
        ),
        Key::new(
            "tile_lock_dir",
            &Type::Text,
            "`tile_locks` in the cache's directory",
            "Where locks of tiles are.",
        ),
        Key::new(
            "directory_permissions",
            &Type::Text,
            "as the system",
            "Octal permissions of new directories: `'755'`.",
        ),
        Key::new(
            "file_permissions",
            &Type::Text,
            "as the system",
            "Octal permissions of new files: `'644'`.",
        ),
        Key::new(
            "meta_size",
            &Type::Pair,
            "[4, 4]",
            "Tiles in one request to a source, columns and rows.",
        ),
        Key::new(
            "meta_buffer",
            &Type::Number,
            "80",
            "Pixels around a meta tile that are asked for and cut off.",
        ),
        Key::new(
            "bulk_meta_tiles",
            &Type::Bool,
            "false",
            "Fetch all tiles of a meta tile from tile sources.",
        ),
        Key::new(
            "max_tile_limit",
            &Type::Int,
            "500",
            "A map that needs at least this many tiles is refused.",
        ),
        Key::new(
            "minimize_meta_requests",
            &Type::Bool,
            "false",
            "One request for all missing tiles of a map.",
        ),
        Key::new(
            "concurrent_tile_creators",
            &Type::Int,
            "2",
            "Requests for tiles under way at a time.",
        ),
        Key::new(
            "link_single_color_images",
            &LINKS,
            "false",
            "Store tiles of one colour once.",
        ),
        Key::new(
            "sqlite_timeout",
            &Type::Number,
            "30",
            "Seconds to wait for a locked SQLite file.",
        )
        .later(),
        Key::new("s3", &Type::Keys(&S3), "", "Defaults of caches of type `s3`.").later(),
        Key::new(
            "azureblob",
            &Type::Keys(&AZURE),
            "",
            "Defaults of caches of type `azureblob`.",
        )
        .later(),
    ],
);

pub(super) static LINKS: Type = Type::Either(&[Type::Bool, Type::Choice(&["symlink", "hardlink"])]);

static S3: Section = Section::new(
    "globals.cache.s3",
    "Defaults of caches of type `s3`.",
    &[
        Key::new("bucket_name", &Type::Text, "", "Bucket."),
        Key::new("profile_name", &Type::Text, "", "Profile with the credentials."),
        Key::new("region_name", &Type::Text, "", "Region."),
        Key::new("endpoint_url", &Type::Text, "", "Address of another S3 server."),
    ],
);

static AZURE: Section = Section::new(
    "globals.cache.azureblob",
    "Defaults of caches of type `azureblob`.",
    &[
        Key::new("connection_string", &Type::Text, "", "Where the account is."),
        Key::new("container_name", &Type::Text, "", "Container."),
    ],
);

static GLOBAL_GRID: Section = Section::new(
    "globals.grid",
    "Defaults of grids.",
    &[Key::new("tile_size", &Type::Pair, "[256, 256]", "Pixels of a tile.")],
);

static GLOBAL_SRS: Section = Section::new(
    "globals.srs",
    "Reference systems.",
    &[
        Key::new(
            "axis_order_ne",
            &TEXTS,
            "",
            "Systems whose first axis is north, in WMS 1.3.0.",
        )
        .later(),
        Key::new(
            "axis_order_en",
            &TEXTS,
            "",
            "Systems whose first axis is east, in WMS 1.3.0.",
        )
        .later(),
        Key::new(
            "proj_data_dir",
            &Type::Text,
            "",
            "Directory with definitions of reference systems.",
        )
        .later(),
        Key::new(
            "preferred_src_proj",
            &Type::Map(&TEXTS),
            "",
            "For a target system, the source systems to prefer.",
        ),
    ],
);

static GLOBAL_TILES: Section = Section::new(
    "globals.tiles",
    "Tile services.",
    &[Key::new(
        "expires_hours",
        &Type::Number,
        "72",
        "How long clients may keep a tile.",
    )],
);

static RENDERD: Section = Section::new(
    "globals.renderd",
    "A daemon that makes tiles.",
    &[Key::new("address", &Type::Text, "", "Its URL.")],
);

static BACKGROUND: Section = Section::new(
    "globals.background",
    "Background map of the demo page.",
    &[Key::new(
        "url",
        &Type::Text,
        "`https://tile.openstreetmap.org/{z}/{x}/{y}.png`",
        "URL of tiles with `{z}`, `{x}`, `{y}`.",
    )],
);

pub(super) static GRID: Section = Section::new(
    "grids",
    "A tile grid.",
    &[
        Key::new("base", &Type::Text, "", "Grid this one takes the other keys from."),
        Key::new("name", &Type::Text, "the key", "Name in paths and addresses."),
        Key::new("srs", &Type::Text, "EPSG:900913", "Reference system."),
        Key::new(
            "bbox",
            &Type::BBox,
            "the world, where the system has one",
            "Extent of the grid.",
        ),
        Key::new("bbox_srs", &Type::Text, "`srs`", "Reference system of `bbox`."),
        Key::new("num_levels", &Type::Int, "20 (40 with `sqrt2`)", "Number of levels."),
        Key::new(
            "res",
            &Type::List(&Type::Any),
            "",
            "Resolution of each level, units per pixel; or pairs of name and resolution.",
        ),
        Key::new(
            "res_factor",
            &Type::Either(&[Type::Number, Type::Choice(&["sqrt2"])]),
            "2.0",
            "Factor between levels.",
        ),
        Key::new("max_res", &Type::Number, "", "Resolution of the last level."),
        Key::new(
            "min_res",
            &Type::Number,
            "the whole extent in one tile",
            "Resolution of the first level.",
        ),
        Key::new(
            "stretch_factor",
            &Type::Number,
            "`globals.image.stretch_factor`",
            "How far a tile may be enlarged before the next level is used.",
        ),
        Key::new(
            "max_shrink_factor",
            &Type::Number,
            "`globals.image.max_shrink_factor`",
            "How far tiles may be reduced before a map stays empty.",
        ),
        Key::new(
            "align_resolutions_with",
            &Type::Text,
            "",
            "Grid whose resolutions are used between `min_res` and `max_res`.",
        ),
        Key::new(
            "origin",
            &Type::Hint(&["ll", "sw", "ul", "nw"]),
            "ll",
            "Corner where tile 0/0 is: lower left (`sw`) or upper left (`nw`).",
        ),
        Key::new(
            "tile_size",
            &Type::Pair,
            "`globals.grid.tile_size`",
            "Pixels of a tile.",
        ),
        Key::new(
            "threshold_res",
            &NUMBERS,
            "",
            "Resolutions at which the next level is used, whatever `stretch_factor` says.",
        ),
    ],
);
