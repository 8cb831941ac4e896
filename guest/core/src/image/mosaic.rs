//! Tiles side by side, without ever making the whole picture: only the window that a map shows is put together
//! (MapProxy's `image/tile.py`, `TileMerger` and `TiledImage`).
//!
//! Tiles with palettes stay so where the answer will have one too: their indices are renumbered for a common palette,
//! which is reduced by what occurs in the window if all the colours together are too many. That spares making true
//! colours and finding a palette for them again (a third of the time of a map from PNG tiles).

use std::borrow::Cow;

use super::map_image::{MapImage, MapImageError};
use super::options::Resampling;
use super::quantize::{PaletteBuilder, reduce_weighted};
use super::raster::{
    Overlap, Pixels, Raster, RasterError, Window, checked_len, expand_row, full_palette, palette_table,
};
use super::transform::{Fill, Mesh, SameSrs, SeparableMapping, warp_mesh, warp_separable};

/// A grid of tiles, row by row, top row first; `None` where there is no tile.
#[derive(Debug)]
pub struct TileMosaic {
    columns: u32,
    rows: u32,
    tile_size: (u32, u32),
    tiles: Vec<Option<MapImage>>,
}

/// A decoded tile and where its upper left corner lies in the window.
struct Placed<'a> {
    raster: Cow<'a, Raster>,
    overlap: Overlap,
}

impl TileMosaic {
    /// `columns` x `rows` tiles of `tile_size` pixels. Too few tiles are filled up with none, too many are left out.
    ///
    /// # Errors
    /// The mosaic has no pixels, or its sides do not fit 32 bits.
    pub fn new(
        columns: u32,
        rows: u32,
        tile_size: (u32, u32),
        mut tiles: Vec<Option<MapImage>>,
    ) -> Result<Self, RasterError> {
        let side = |count: u32, tile: u32| count.checked_mul(tile).filter(|&side| side > 0);
        let cells = usize::try_from(u64::from(columns) * u64::from(rows)).ok();
        match (side(columns, tile_size.0), side(rows, tile_size.1), cells) {
            (Some(_), Some(_), Some(cells)) if cells <= tiles.len().max(1 << 20) => {
                tiles.resize_with(cells, || None);
                Ok(Self {
                    columns,
                    rows,
                    tile_size,
                    tiles,
                })
            }
            _ => {
                let (width, height) = (columns.saturating_mul(tile_size.0), rows.saturating_mul(tile_size.1));
                Err(RasterError::Size { width, height })
            }
        }
    }

    /// Width and height of all tiles together, in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.columns * self.tile_size.0, self.rows * self.tile_size.1)
    }

    /// The pixels of the window whose upper left corner is at (`x`, `y`). Missing tiles, and what lies outside, become
    /// `fill`. Only the tiles of the window are decoded.
    ///
    /// With `palette` the answer will be written with at most that many colours: if all tiles have palettes, the window
    /// gets one as well (of at most 256 colours that are the tiles' own, else of at most `palette` ones). Without, or if
    /// a tile has none, it is RGB or RGBA.
    ///
    /// # Errors
    /// A tile is no picture, or the window is out of range.
    pub fn window(
        &self,
        (x, y): (i64, i64),
        (width, height): (u32, u32),
        palette: Option<usize>,
        fill: Fill,
    ) -> Result<Raster, MapImageError> {
        let len = checked_len(width, height)?;
        let mut covered = 0_u64;
        let mut placed = Vec::new();
        let (tile_width, tile_height) = self.tile_size;
        for (number, tile) in (0_u32..).zip(&self.tiles) {
            let left = i64::from(number % self.columns * tile_width).saturating_sub(x);
            let top = i64::from(number / self.columns * tile_height).saturating_sub(y);
            let Some(tile) = tile else { continue };
            let Some(shown) = Overlap::new(self.tile_size, (width, height), left, top) else {
                continue;
            };
            let (raster, (x, y)) = tile.part(Window {
                x: shown.src_x,
                y: shown.src_y,
                width: shown.width,
                height: shown.height,
            })?;
            // A tile of another size than it should have covers what it can of its place.
            let size = (raster.width().min(tile_width - x), raster.height().min(tile_height - y));
            if let Some(overlap) = Overlap::new(size, (width, height), left + i64::from(x), top + i64::from(y)) {
                covered += u64::from(overlap.width) * u64::from(overlap.height);
                placed.push(Placed { raster, overlap });
            }
        }
        let fill = (covered < len as u64).then_some(fill);
        if let Some(colors) = palette
            && let Some(joined) = join_indexed(&placed, (width, height), colors, fill)?
        {
            return Ok(joined);
        }
        let alpha = fill == Some(Fill::Transparent) || placed.iter().any(|tile| tile.raster.has_alpha());
        let raster = if alpha {
            Raster::new(width, height, Pixels::Rgba(join::<4>(&placed, width, len, fill)))?
        } else {
            Raster::new(width, height, Pixels::Rgb(join::<3>(&placed, width, len, fill)))?
        };
        Ok(raster)
    }

    /// The mosaic, which covers `src_bbox`, as a map of the same SRS.
    ///
    /// # Errors
    /// As [`Self::window`].
    pub fn transform_same_srs(
        &self,
        src_bbox: [f64; 4],
        dst_size: (u32, u32),
        dst_bbox: [f64; 4],
        resampling: Resampling,
        palette: Option<usize>,
        fill: Fill,
    ) -> Result<Raster, MapImageError> {
        match SameSrs::plan(self.size(), src_bbox, dst_size, dst_bbox) {
            SameSrs::Unchanged => self.window((0, 0), dst_size, palette, fill),
            SameSrs::Crop { x, y } => self.window((x, y), dst_size, palette, fill),
            SameSrs::Extent {
                left,
                top,
                right,
                bottom,
            } => self.warp(
                &SeparableMapping::extent(left, top, right, bottom, dst_size)?,
                resampling,
                fill,
            ),
        }
    }

    /// The mosaic warped by a mapping of its pixels.
    ///
    /// # Errors
    /// As [`Self::window`].
    pub fn warp(
        &self,
        mapping: &SeparableMapping,
        resampling: Resampling,
        fill: Fill,
    ) -> Result<Raster, MapImageError> {
        let Some((x, y, width, height)) = mapping.source_window(self.size()) else {
            let size = (mapping.xs.len() as u32, mapping.ys.len() as u32);
            return Ok(blank(size, fill)?);
        };
        let window = self.window((i64::from(x), i64::from(y)), (width, height), None, fill)?;
        Ok(warp_separable(&window, &mapping.shifted(x, y), resampling, fill)?)
    }

    /// The mosaic warped along a mesh that was made for its pixels.
    ///
    /// # Errors
    /// As [`Self::window`].
    pub fn warp_mesh(&self, mesh: Mesh, resampling: Resampling, fill: Fill) -> Result<Raster, MapImageError> {
        if let Some(mapping) = mesh.separable() {
            return self.warp(&mapping, resampling, fill);
        }
        let (x, y, width, height) = mesh.source_window(self.size()).unwrap_or((0, 0, 1, 1));
        let window = self.window((i64::from(x), i64::from(y)), (width, height), None, fill)?;
        Ok(warp_mesh(&window, &mesh.shifted(x, y), resampling, fill)?)
    }

    /// All tiles in one picture.
    ///
    /// # Errors
    /// As [`Self::window`].
    pub fn into_raster(self, fill: Fill) -> Result<Raster, MapImageError> {
        self.window((0, 0), self.size(), None, fill)
    }
}

impl From<RasterError> for MapImageError {
    fn from(error: RasterError) -> Self {
        Self::Decode(error.into())
    }
}

fn join<const BPP: usize>(placed: &[Placed<'_>], width: u32, len: usize, fill: Option<Fill>) -> Vec<u8> {
    let mut data = match fill {
        Some(Fill::Color(color)) => {
            let pixel = [color[0], color[1], color[2], 255];
            let mut data = vec![255; len * BPP];
            if color != [255; 3] {
                for to in data.chunks_exact_mut(BPP) {
                    to.copy_from_slice(&pixel[..BPP]);
                }
            }
            data
        }
        Some(Fill::Transparent) | None => vec![0; len * BPP],
    };
    for Placed { raster, overlap } in placed {
        let table = palette_table(raster);
        for row in 0..overlap.height {
            let start = ((overlap.dst_y + row) as usize * width as usize + overlap.dst_x as usize) * BPP;
            let out = &mut data[start..start + overlap.width as usize * BPP];
            expand_row::<BPP>(raster, &table, overlap.src_x, overlap.src_y + row, out);
        }
    }
    data
}

/// The indices of a placed tile that lie in the window, row by row.
fn rows<'a>(placed: &'a Placed<'_>) -> impl Iterator<Item = &'a [u8]> {
    let Placed { raster, overlap } = placed;
    (overlap.src_y..overlap.src_y + overlap.height)
        .map(|y| &raster.row(y)[overlap.src_x as usize..][..overlap.width as usize])
}

/// The window as a palette picture, if all tiles have palettes.
fn join_indexed(
    placed: &[Placed<'_>],
    (width, height): (u32, u32),
    colors: usize,
    fill: Option<Fill>,
) -> Result<Option<Raster>, RasterError> {
    let fill = fill.map(|fill| match fill {
        Fill::Transparent => [0; 4],
        Fill::Color([r, g, b]) => [r, g, b, 255],
    });
    let mut palettes = Vec::with_capacity(placed.len());
    for tile in placed {
        let Pixels::Indexed { palette, .. } = tile.raster.pixels() else {
            return Ok(None);
        };
        palettes.push(palette);
    }
    if placed.is_empty() {
        return Ok(None);
    }
    let Common { palette, tables, fill } = common_palette(placed, &palettes, colors, fill);
    let mut indices = vec![fill; width as usize * height as usize];
    for (tile, table) in placed.iter().zip(&tables) {
        let identity = (0..=255).zip(table).all(|(index, &to)| index == to);
        for (row, source) in rows(tile).enumerate() {
            let start = (tile.overlap.dst_y as usize + row) * width as usize + tile.overlap.dst_x as usize;
            let out = &mut indices[start..start + source.len()];
            if identity {
                out.copy_from_slice(source);
            } else {
                for (to, &index) in out.iter_mut().zip(source) {
                    *to = table[usize::from(index)];
                }
            }
        }
    }
    Raster::new(width, height, Pixels::Indexed { indices, palette }).map(Some)
}

/// A palette for several pictures, the new index of each of their old ones, and the index of the fill.
struct Common {
    palette: Vec<[u8; 4]>,
    tables: Vec<[u8; 256]>,
    fill: u8,
}

fn common_palette(placed: &[Placed<'_>], palettes: &[&Vec<[u8; 4]>], colors: usize, fill: Option<[u8; 4]>) -> Common {
    let full: Vec<_> = palettes.iter().map(|palette| full_palette(palette)).collect();
    // All the entries of all palettes may fit; if they do not, those that occur may.
    union(&full, fill, |tile, index| index < palettes[tile].len())
        .or_else(|| {
            let used: Vec<_> = placed.iter().map(|tile| counts(rows(tile))).collect();
            union(&full, fill, |tile, index| used[tile][index] > 0).or_else(|| {
                let mut weighted = Vec::new();
                let mut places = Vec::with_capacity(placed.len());
                for (palette, used) in full.iter().zip(&used) {
                    let mut place = [0; 256];
                    for (index, &count) in used.iter().enumerate().filter(|(_, count)| **count > 0) {
                        place[index] = weighted.len();
                        weighted.push((palette[index], count));
                    }
                    places.push(place);
                }
                if let Some(color) = fill {
                    weighted.push((color, 1));
                }
                let (new, palette) = reduce_weighted(&weighted, colors);
                let tables = places
                    .iter()
                    .map(|place| place.map(|at| new.get(at).copied().unwrap_or(0)))
                    .collect();
                Some(Common {
                    palette,
                    tables,
                    fill: if fill.is_some() {
                        new.last().copied().unwrap_or(0)
                    } else {
                        0
                    },
                })
            })
        })
        .unwrap_or(Common {
            palette: vec![[0; 4]],
            tables: vec![[0; 256]; placed.len()],
            fill: 0,
        })
}

/// How often each index occurs. Four tables, so that a run of equal indices does not wait for itself.
fn counts<'a>(rows: impl Iterator<Item = &'a [u8]>) -> [u32; 256] {
    let mut tables = [[0_u32; 256]; 4];
    for row in rows {
        let groups = row.chunks_exact(4);
        for &index in groups.remainder() {
            tables[0][usize::from(index)] += 1;
        }
        for group in groups {
            for (table, &index) in tables.iter_mut().zip(group) {
                table[usize::from(index)] += 1;
            }
        }
    }
    std::array::from_fn(|index| tables.iter().map(|table| table[index]).sum())
}

/// The colours of all palettes that count, if there are at most 256.
fn union(full: &[[[u8; 4]; 256]], fill: Option<[u8; 4]>, counts: impl Fn(usize, usize) -> bool) -> Option<Common> {
    let mut builder = PaletteBuilder::new(256);
    let mut tables = Vec::with_capacity(full.len());
    for (tile, palette) in full.iter().enumerate() {
        let mut table = [0; 256];
        for (index, &color) in palette.iter().enumerate().filter(|(index, _)| counts(tile, *index)) {
            table[index] = builder.index_of(color)?;
        }
        tables.push(table);
    }
    let fill = match fill {
        Some(color) => builder.index_of(color)?,
        None => 0,
    };
    Some(Common {
        palette: builder.into_palette(),
        tables,
        fill,
    })
}

fn blank(size: (u32, u32), fill: Fill) -> Result<Raster, RasterError> {
    let color = match fill {
        Fill::Transparent => [0; 4],
        Fill::Color([r, g, b]) => [r, g, b, 255],
    };
    super::filled(size.0, size.1, color)
}

#[cfg(test)]
mod tests;
