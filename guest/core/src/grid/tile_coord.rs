//! Tile numbers and where they are counted from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a tile. It may lie outside the grid (it may come from a client), see
/// [`TileGrid::limit_tile`](super::TileGrid::limit_tile).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TileCoord {
    /// Column, counted eastwards.
    pub x: i64,
    /// Row, counted from the grid's [`Origin`].
    pub y: i64,
    /// Level; 0 is the coarsest.
    pub z: u32,
}

impl TileCoord {
    /// A tile number, taken as it is.
    pub const fn new(x: i64, y: i64, z: u32) -> Self {
        Self { x, y, z }
    }

    /// A tile number from a request, where the level may be any integer; `None` if it cannot be a level.
    pub fn from_request(x: i64, y: i64, level: i64) -> Option<Self> {
        let z = u32::try_from(level).ok()?;
        Some(Self { x, y, z })
    }

    /// Bing's name of the tile: a digit for each level from 1 on, the bit of x plus twice the bit of y.
    pub fn quadkey(&self) -> String {
        let bit_of = |value: i64, bit: u32| value.checked_shr(bit).unwrap_or(0) & 1 == 1;
        let digit = |bit: u32| match (bit_of(self.x, bit), bit_of(self.y, bit)) {
            (false, false) => '0',
            (true, false) => '1',
            (false, true) => '2',
            (true, true) => '3',
        };
        (0..self.z).rev().map(digit).collect()
    }
}

/// `(x, y, z)`, as in MapProxy's log messages.
impl fmt::Display for TileCoord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {}, {})", self.x, self.y, self.z)
    }
}

/// The corner in which tile 0,0 lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// Lower left (`ll`, `sw`): rows are counted northwards, as in TMS.
    #[default]
    Ll,
    /// Upper left (`ul`, `nw`): rows are counted southwards, as in WMTS.
    Ul,
}

impl Origin {
    /// Reads `ll`, `sw`, `ul` or `nw`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "ll" | "sw" => Some(Self::Ll),
            "ul" | "nw" => Some(Self::Ul),
            _ => None,
        }
    }

    /// `ll` or `ul`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ll => "ll",
            Self::Ul => "ul",
        }
    }
}
