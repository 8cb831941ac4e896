//! What `seed.yaml` may say.

use super::caches::AGE;
use super::common::{COVERAGE, TEXTS};
use super::{Key, Section, Type};

/// A seed configuration.
pub(in super::super) static SEED: Section = Section::new(
    "seed.yaml",
    "What `mapproxy seed` fills and cleans.",
    &[
        Key::new(
            "seeds",
            &Type::Map(&Type::Keys(&SEED_TASK)),
            "",
            "Parts of caches to be filled, by name.",
        ),
        Key::new(
            "cleanups",
            &Type::Map(&Type::Keys(&CLEANUP_TASK)),
            "",
            "Parts of caches to be cleaned, by name.",
        ),
        Key::new(
            "coverages",
            &Type::Map(&Type::Keys(&COVERAGE)),
            "",
            "Areas by name; files are relative to the directory of `seed.yaml`.",
        ),
    ],
);

static NAMES: Type = Type::Either(&[Type::List(&Type::Text), Type::Text]);

static TASK: Section = Section::new(
    "seeds and cleanups",
    "Which tiles are meant.",
    &[
        Key::new("caches", &NAMES, "", "Names of caches.").required(),
        Key::new(
            "grids",
            &TEXTS,
            "all of the caches, which then have to have the same",
            "Names of grids.",
        ),
        Key::new(
            "coverages",
            &TEXTS,
            "the whole grid",
            "Names of coverages: tiles that touch any of them.",
        ),
        Key::new(
            "levels",
            &Type::Either(&[Type::List(&Type::Int), Type::Keys(&LEVELS)]),
            "all",
            "Levels, as a list or as a range; those the grid does not have are left out.",
        ),
        Key::new(
            "resolutions",
            &Type::Either(&[NUMBERS_, Type::Keys(&RESOLUTIONS)]),
            "",
            "In place of `levels`: the levels nearest to these resolutions, in units of the grid per pixel.",
        ),
    ],
);
const NUMBERS_: Type = Type::List(&Type::Number);

static LEVELS: Section = Section::new(
    "levels",
    "A range of levels, both ends included.",
    &[
        Key::new("from", &Type::Int, "0", "First level."),
        Key::new("to", &Type::Int, "the last", "Last level."),
    ],
);

static RESOLUTIONS: Section = Section::new(
    "resolutions",
    "A range of resolutions, both ends included.",
    &[
        Key::new("from", &Type::Number, "the coarsest", "Coarsest resolution."),
        Key::new("to", &Type::Number, "the finest", "Finest resolution."),
    ],
);

static SEED_TASK: Section = Section::new(
    "seeds",
    "A part of caches to be filled.",
    &[Key::new(
        "refresh_before",
        &Type::Keys(&AGE),
        "",
        "Stored tiles of this age or older are made again; without it stored tiles stay.",
    )],
)
.with(&[&TASK]);

static CLEANUP_TASK: Section = Section::new(
    "cleanups",
    "A part of caches to be cleaned.",
    &[
        Key::new(
            "remove_before",
            &Type::Keys(&AGE),
            "the start of the cleanup",
            "Tiles older than this are removed.",
        ),
        Key::new(
            "remove_all",
            &Type::Bool,
            "false",
            "Remove all tiles, whatever their age.",
        ),
    ],
)
.with(&[&TASK]);
