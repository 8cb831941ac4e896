//! `caches`.

use super::common::{COVERAGE, IMAGE, TEXTS};
use super::globals::LINKS;
use super::{Key, Section, Type, Variant};

pub(super) static CACHE: Section = Section::new(
    "caches",
    "A cache of tiles.",
    &[
        Key::new("sources", &Type::Either(&[Type::List(&Type::Text), Type::Keys(&BANDS)]), "", "Sources or caches the tiles are made from, bottom first; empty for a cache that only serves what is stored.").required(),
        Key::new("name", &Type::Text, "", "Not used."),
        Key::new("grids", &TEXTS, "[GLOBAL_MERCATOR]", "Grids tiles are made for."),
        Key::new("cache_dir", &Type::Text, "`globals.cache.base_dir`", "Directory of the cache."),
        Key::new("meta_size", &Type::Pair, "`globals.cache.meta_size`", "Tiles in one request to a source, columns and rows."),
        Key::new("meta_buffer", &Type::Number, "`globals.cache.meta_buffer`", "Pixels around a meta tile that are asked for and cut off."),
        Key::new("bulk_meta_tiles", &Type::Bool, "`globals.cache.bulk_meta_tiles`", "Fetch all tiles of a meta tile from tile sources."),
        Key::new("minimize_meta_requests", &Type::Bool, "`globals.cache.minimize_meta_requests`", "One request for all missing tiles of a map."),
        Key::new("concurrent_tile_creators", &Type::Int, "`globals.cache.concurrent_tile_creators`", "Requests for tiles under way at a time."),
        Key::new("disable_storage", &Type::Bool, "false", "Store nothing."),
        Key::new("format", &Type::Text, "image/png", "Format of the tiles; `mixed` is PNG where something is transparent, JPEG otherwise, and of tile sources what they send."),
        Key::new("image", &Type::Keys(&IMAGE), "", "How tiles are written."),
        Key::new("request_format", &Type::Text, "`format`", "Format sources are asked for."),
        Key::new("use_direct_from_level", &Type::Number, "", "From this level on, maps come from the source directly."),
        Key::new("use_direct_from_res", &Type::Number, "", "From this resolution on, maps come from the source directly."),
        Key::new("link_single_color_images", &LINKS, "`globals.cache.link_single_color_images`", "Store tiles of one colour once."),
        Key::new("cache_rescaled_tiles", &Type::Bool, "false", "Store tiles made from other levels.").later(),
        Key::new("upscale_tiles", &Type::Int, "0", "Make missing tiles from up to this many levels above.").later(),
        Key::new("downscale_tiles", &Type::Int, "0", "Make missing tiles from up to this many levels below.").later(),
        Key::new("refresh_before", &Type::Keys(&AGE), "", "Tiles older than this are made again."),
        Key::new("watermark", &Type::Keys(&WATERMARK), "", "Text drawn into tiles."),
        Key::new("cache", &BACKEND, "", "Where and how tiles are stored."),
    ],
);

static BAND_LIST: Type = Type::List(&Type::Keys(&BAND));

static BANDS: Section = Section::new(
    "sources with bands",
    "Bands of the tile, each made from bands of sources.",
    &[
        Key::new("r", &BAND_LIST, "", "Red."),
        Key::new("g", &BAND_LIST, "", "Green."),
        Key::new("b", &BAND_LIST, "", "Blue."),
        Key::new("a", &BAND_LIST, "", "Alpha."),
        Key::new("l", &BAND_LIST, "", "Gray."),
    ],
);

static BAND: Section = Section::new(
    "one band",
    "What is added to a band of the tile.",
    &[
        Key::new("source", &Type::Text, "", "Source or cache.").required(),
        Key::new("band", &Type::Int, "", "Its band, from 0.").required(),
        Key::new("factor", &Type::Number, "1.0", "Its share."),
    ],
);

/// A moment, from which ages are told.
pub(super) static AGE: Section = Section::new(
    "refresh_before",
    "An age (the sum of the units), a time, or a file's modification time.",
    &[
        Key::new("seconds", &Type::Number, "", "Seconds."),
        Key::new("minutes", &Type::Number, "", "Minutes."),
        Key::new("hours", &Type::Number, "", "Hours."),
        Key::new("days", &Type::Number, "", "Days."),
        Key::new("weeks", &Type::Number, "", "Weeks."),
        Key::new("time", &Type::Text, "", "`2010-10-21T12:35:00`."),
        Key::new("mtime", &Type::Text, "", "File whose modification time counts."),
    ],
);

static WATERMARK: Section = Section::new(
    "watermark",
    "Text drawn into tiles.",
    &[
        Key::new("text", &Type::Text, "", "The text."),
        Key::new("font_size", &Type::Number, "24", "Height in pixels."),
        Key::new("color", &Type::Color, "[128, 128, 128]", "Colour."),
        Key::new("opacity", &Type::Number, "30", "0 to 255."),
        Key::new(
            "spacing",
            &Type::Hint(&["wide"]),
            "",
            "`wide`: in every other tile only.",
        ),
    ],
);

static COVERAGE_KEY: Section = Section::new(
    "cache: all types",
    "Keys every type of `cache` has.",
    &[
        Key::new("type", &Type::Text, "file", "Type of the cache."),
        Key::new("coverage", &Type::Keys(&COVERAGE), "", "Area in which there are tiles."),
        Key::new(
            "tile_lock_dir",
            &Type::Text,
            "`globals.cache.tile_lock_dir`",
            "Where locks of tiles are.",
        ),
    ],
);

static PERMISSIONS: Section = Section::new(
    "permissions",
    "Permissions of new files and directories.",
    &[
        Key::new(
            "directory_permissions",
            &Type::Text,
            "`globals.cache.directory_permissions`",
            "Octal permissions of new directories.",
        ),
        Key::new(
            "file_permissions",
            &Type::Text,
            "`globals.cache.file_permissions`",
            "Octal permissions of new files.",
        ),
    ],
);

static LAYOUT: Type = Type::Choice(&["tc", "mp", "tms", "reverse_tms", "quadkey", "arcgis"]);

static SHARED: [&Section; 2] = [&COVERAGE_KEY, &PERMISSIONS];

pub(super) static BACKEND: Type = Type::Tagged(&[
    Variant {
        name: "file",
        keys: &FILE,
        supported: true,
    },
    Variant {
        name: "mbtiles",
        keys: &MBTILES,
        supported: false,
    },
    Variant {
        name: "sqlite",
        keys: &SQLITE,
        supported: false,
    },
    Variant {
        name: "geopackage",
        keys: &GEOPACKAGE,
        supported: false,
    },
    Variant {
        name: "couchdb",
        keys: &COUCHDB,
        supported: false,
    },
    Variant {
        name: "redis",
        keys: &REDIS,
        supported: false,
    },
    Variant {
        name: "s3",
        keys: &S3,
        supported: false,
    },
    Variant {
        name: "azureblob",
        keys: &AZURE,
        supported: false,
    },
    Variant {
        name: "compact",
        keys: &COMPACT,
        supported: false,
    },
]);

static FILE: Section = Section::new(
    "cache: file",
    "A file for each tile.",
    &[
        Key::new("directory_layout", &LAYOUT, "tc", "Names of files and directories."),
        Key::new(
            "use_grid_names",
            &Type::Bool,
            "false",
            "`<name>/<grid>` in place of `<name>_<SRS>`.",
        ),
        Key::new(
            "directory",
            &Type::Text,
            "",
            "Exactly this directory; with one grid only.",
        ),
    ],
)
.with(&SHARED);
static MBTILES: Section = Section::new(
    "cache: mbtiles",
    "One MBTiles file.",
    &[
        Key::new("filename", &Type::Text, "`<name>.mbtiles`", "The file."),
        Key::new(
            "sqlite_timeout",
            &Type::Number,
            "30",
            "Seconds to wait for a locked file.",
        ),
        Key::new("sqlite_wal", &Type::Bool, "false", "Use a write-ahead log."),
    ],
)
.with(&SHARED);
static SQLITE: Section = Section::new(
    "cache: sqlite",
    "An MBTiles file for each level.",
    &[
        Key::new("directory", &Type::Text, "`<name>/<grid>`", "Directory of the files."),
        Key::new(
            "sqlite_timeout",
            &Type::Number,
            "30",
            "Seconds to wait for a locked file.",
        ),
        Key::new("sqlite_wal", &Type::Bool, "false", "Use a write-ahead log."),
        Key::new("ttl", &Type::Int, "0", "Seconds a tile lives; 0 is for ever."),
    ],
)
.with(&SHARED);
static GEOPACKAGE: Section = Section::new(
    "cache: geopackage",
    "A GeoPackage.",
    &[
        Key::new("filename", &Type::Text, "`<name>.gpkg`", "The file."),
        Key::new("directory", &Type::Text, "", "Directory of the files with `levels`."),
        Key::new("table_name", &Type::Text, "`<name>_<grid>`", "The table."),
        Key::new("levels", &Type::Bool, "false", "A file for each level."),
    ],
)
.with(&SHARED);
static COUCHDB: Section = Section::new(
    "cache: couchdb",
    "CouchDB.",
    &[
        Key::new("url", &Type::Text, "http://127.0.0.1:5984", "The server."),
        Key::new("db_name", &Type::Text, "`<name>_<SRS>`", "The database."),
        Key::new(
            "tile_metadata",
            &Type::Map(&Type::Any),
            "",
            "Values stored with each tile.",
        ),
        Key::new(
            "tile_id",
            &Type::Text,
            "`<grid>-z-x-y`",
            "Template of the document's id.",
        ),
    ],
)
.with(&SHARED);
static REDIS: Section = Section::new(
    "cache: redis",
    "Redis.",
    &[
        Key::new("host", &Type::Text, "127.0.0.1", "The server."),
        Key::new("port", &Type::Int, "6379", "Its port."),
        Key::new("db", &Type::Int, "0", "Number of the database."),
        Key::new("username", &Type::Text, "", "User."),
        Key::new("password", &Type::Text, "", "Password."),
        Key::new("prefix", &Type::Text, "`<name>_<grid>`", "Prefix of the keys."),
        Key::new("default_ttl", &Type::Int, "3600", "Seconds a tile lives."),
        Key::new("ssl_certfile", &Type::Text, "", "Client certificate."),
        Key::new("ssl_keyfile", &Type::Text, "", "Its key."),
        Key::new("ssl_ca_certs", &Type::Text, "", "Certificates to trust."),
    ],
)
.with(&SHARED);
static S3: Section = Section::new(
    "cache: s3",
    "S3 or what speaks its protocol.",
    &[
        Key::new("bucket_name", &Type::Text, "`globals.cache.s3.bucket_name`", "Bucket."),
        Key::new("directory_layout", &LAYOUT, "tms", "Names of objects."),
        Key::new("directory", &Type::Text, "`<name>/<grid>`", "Prefix of the names."),
        Key::new(
            "profile_name",
            &Type::Text,
            "`globals.cache.s3.profile_name`",
            "Profile with the credentials.",
        ),
        Key::new("region_name", &Type::Text, "`globals.cache.s3.region_name`", "Region."),
        Key::new(
            "endpoint_url",
            &Type::Text,
            "`globals.cache.s3.endpoint_url`",
            "Address of another S3 server.",
        ),
        Key::new("access_control_list", &Type::Text, "", "Access list of new objects."),
        Key::new("use_http_get", &Type::Bool, "false", "Read with plain HTTP."),
        Key::new(
            "include_grid_name",
            &Type::Bool,
            "false",
            "Add the grid's name to `directory`.",
        ),
    ],
)
.with(&SHARED);
static AZURE: Section = Section::new(
    "cache: azureblob",
    "Azure Blob Storage.",
    &[
        Key::new(
            "connection_string",
            &Type::Text,
            "`globals.cache.azureblob.connection_string`",
            "Where the account is.",
        ),
        Key::new(
            "container_name",
            &Type::Text,
            "`globals.cache.azureblob.container_name`",
            "Container.",
        ),
        Key::new("directory_layout", &LAYOUT, "tms", "Names of blobs."),
        Key::new("directory", &Type::Text, "`<name>/<grid>`", "Prefix of the names."),
    ],
)
.with(&SHARED);
static COMPACT: Section = Section::new(
    "cache: compact",
    "ArcGIS compact cache.",
    &[
        Key::new("version", &Type::Int, "", "1 or 2.").required(),
        Key::new("directory", &Type::Text, "`<name>/<grid>`", "Directory of the bundles."),
    ],
)
.with(&SHARED);
