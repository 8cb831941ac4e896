//! `mapproxy seed --map`: what of each level is stored, as a picture in a file (PNG or HTML), and small in the terminal.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::bindings::seeding::{Cell, Picture};
use crate::projects::page;
use crate::replace::replace;

/// A task with a picture of each of its levels.
#[derive(Debug)]
pub(crate) struct TaskMap {
    pub(crate) title: String,
    pub(crate) levels: Vec<(u32, Picture)>,
}

/// Cells with their colours and what they mean.
const LEGEND: [(Cell, [u8; 3], &str); 8] = [
    (Cell::Outside, [0xe4, 0xe4, 0xe4], "not of the task"),
    (Cell::Missing, [0xff, 0xff, 0xff], "not stored"),
    (Cell::Partly, [0xf2, 0xc1, 0x4e], "partly stored"),
    (Cell::Day, [0x0b, 0x5d, 0x1e], "stored, less than a day old"),
    (Cell::Week, [0x2e, 0x8b, 0x57], "less than a week"),
    (Cell::Month, [0x6f, 0xbf, 0x73], "less than a month"),
    (Cell::Year, [0xb9, 0xd7, 0xa0], "less than a year"),
    (Cell::Older, [0xc0, 0x84, 0x57], "older"),
];
/// Largest width and height of a level in a PNG, and what lies between two of them; pixels.
const BOX: usize = 128;
const GAP: usize = 8;
/// Largest width and height of a level in HTML; CSS pixels.
const FIGURE: usize = 192;
/// Columns of the picture in the terminal, which has half as many lines.
const SMALL: usize = 48;

/// Place in [`LEGEND`].
fn index(cell: Cell) -> u8 {
    let place = LEGEND.iter().position(|(known, ..)| *known == cell);
    place.map_or(0, |place| place as u8)
}

/// What a map can be written as.
#[derive(Debug, Clone, Copy)]
enum Format {
    Png,
    Html,
}

fn format(path: &Path) -> Result<Format> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("png") => Ok(Format::Png),
        Some("html" | "htm") => Ok(Format::Html),
        _ => bail!(
            "`{}` is no map; expected a name that ends in `.png` or `.html`",
            path.display()
        ),
    }
}

/// The path of a map, if [`write`] knows what to make of it: for clap, so that a wrong one is refused at once.
pub(crate) fn path(text: &str) -> Result<PathBuf> {
    let path = PathBuf::from(text);
    format(&path)?;
    Ok(path)
}

/// Writes a file of the kind its name says.
pub(crate) fn write(path: &Path, maps: &[TaskMap]) -> Result<()> {
    let written = match format(path)? {
        Format::Png => png(maps)?,
        Format::Html => html(maps).into_bytes(),
    };
    replace(path, &written, 0o666).with_context(|| format!("failed to write `{}`", path.display()))
}

/// Tasks from top to bottom, their levels from left to right.
fn png(maps: &[TaskMap]) -> Result<Vec<u8>> {
    let most = maps.iter().map(|map| map.levels.len()).max().unwrap_or(0);
    if most == 0 {
        bail!("no task has levels");
    }
    let (width, height) = (most * (BOX + GAP) + GAP, maps.len() * (BOX + GAP) + GAP);
    let background = LEGEND.len() as u8;
    let mut pixels = vec![background; width * height];
    for (row, map) in maps.iter().enumerate() {
        for (column, (_, picture)) in map.levels.iter().enumerate() {
            let (left, top) = (GAP + column * (BOX + GAP), GAP + row * (BOX + GAP));
            let (columns, rows) = shape(picture);
            if columns == 0 || rows == 0 {
                continue;
            }
            let scale = (BOX / columns.max(rows)).max(1);
            for y in 0..(rows * scale).min(BOX) {
                for x in 0..(columns * scale).min(BOX) {
                    let cell = picture.cells.get(y / scale * columns + x / scale);
                    let pixel = pixels.get_mut((top + y) * width + left + x);
                    if let (Some(cell), Some(pixel)) = (cell, pixel) {
                        *pixel = index(*cell);
                    }
                }
            }
        }
    }
    let mut palette: Vec<u8> = LEGEND.iter().flat_map(|(_, colour, _)| *colour).collect();
    palette.extend([0x60, 0x68, 0x70]);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, u32::try_from(width)?, u32::try_from(height)?);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(file)
}

fn shape(picture: &Picture) -> (usize, usize) {
    let columns = picture.columns as usize;
    let rows = picture.cells.len().checked_div(columns).unwrap_or(0);
    (columns, rows)
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn html(maps: &[TaskMap]) -> String {
    let mut main = String::from("<h1>What is stored</h1>\n<p>");
    for (_, colour, meaning) in LEGEND {
        // Writing to a String does not fail, here and below.
        let _ = write!(
            main,
            "<span style=\"white-space:nowrap\"><svg width=\"12\" height=\"12\"><rect width=\"12\" height=\"12\" \
             fill=\"{}\" stroke=\"#888\"/></svg> {meaning}</span>&ensp;",
            hex(colour)
        );
    }
    main.push_str("</p>\n");
    for map in maps {
        let _ = write!(
            main,
            "<h2>{}</h2>\n<div style=\"display:flex;flex-wrap:wrap;gap:1em\">\n",
            page::escape(&map.title)
        );
        for (level, picture) in &map.levels {
            let (columns, rows) = shape(picture);
            let longest = columns.max(rows).max(1);
            let (width, height) = (columns * FIGURE / longest, rows * FIGURE / longest);
            let _ = write!(
                main,
                "<figure style=\"margin:0\"><svg viewBox=\"0 0 {columns} {rows}\" width=\"{width}\" \
                 height=\"{height}\" shape-rendering=\"crispEdges\" style=\"border:1px solid #888\">"
            );
            rectangles(&mut main, picture, columns);
            let _ = writeln!(
                main,
                "</svg><figcaption>level {level}: {}</figcaption></figure>",
                counts(picture)
            );
        }
        main.push_str("</div>\n");
    }
    page::page("What is stored", &main)
}

/// One for each run of equal cells in a row.
fn rectangles(svg: &mut String, picture: &Picture, columns: usize) {
    for (y, row) in picture.cells.chunks(columns.max(1)).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if let Some(cell) = run.first() {
                let colour = LEGEND
                    .get(usize::from(index(*cell)))
                    .map_or([0; 3], |(_, colour, _)| *colour);
                let _ = write!(
                    svg,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"1\" fill=\"{}\"/>",
                    run.len(),
                    hex(colour)
                );
            }
            x += run.len();
        }
    }
}

/// `16 of 64 tiles`
pub(crate) fn counts(picture: &Picture) -> String {
    let looked_at = if picture.complete { "" } else { " that were looked at" };
    format!(
        "{} of {} tiles{looked_at} are stored",
        picture.stored, picture.looked_at
    )
}

/// The picture in characters, for a terminal.
pub(crate) fn small(picture: &Picture) -> String {
    let (columns, rows) = shape(picture);
    // characters are about twice as high as they are wide
    let longest = columns.max(rows);
    let step = longest.div_ceil(SMALL).max(1);
    let wide = if longest * 2 <= SMALL { 2 } else { 1 };
    let down = step * 2 / wide;
    let mut text = String::new();
    for lines in picture.cells.chunks(columns.max(1) * down) {
        text.push_str("    ");
        for x in (0..columns).step_by(step) {
            let cells = lines.chunks(columns).flat_map(|line| line.iter().skip(x).take(step));
            text.extend(std::iter::repeat_n(sign(cells), wide));
        }
        text.push('\n');
    }
    text
}

/// One character for several cells.
fn sign<'a>(cells: impl Iterator<Item = &'a Cell>) -> char {
    let (mut any, mut missing, mut stored) = (false, true, true);
    for cell in cells.filter(|cell| **cell != Cell::Outside) {
        any = true;
        missing &= *cell == Cell::Missing;
        stored &= !matches!(cell, Cell::Missing | Cell::Partly);
    }
    match (any, missing, stored) {
        (false, ..) => '·',
        (_, true, _) => '░',
        (_, _, true) => '█',
        _ => '▒',
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn map() -> TaskMap {
        let picture = Picture {
            columns: 2,
            cells: vec![Cell::Outside, Cell::Day, Cell::Missing, Cell::Partly],
            looked_at: 12,
            stored: 5,
            complete: true,
        };
        TaskMap {
            title: "seed <a>".to_owned(),
            levels: vec![(3, picture)],
        }
    }

    #[test]
    fn every_cell_has_its_colour() {
        for (place, (cell, ..)) in LEGEND.iter().enumerate() {
            assert_eq!(usize::from(index(*cell)), place);
        }
    }

    #[test]
    fn pages_name_levels_and_escape_titles() {
        let page = html(&[map()]);
        assert!(page.contains("<h2>seed &lt;a&gt;</h2>"), "{page}");
        assert!(page.contains("level 3: 5 of 12 tiles are stored"), "{page}");
        assert!(
            page.contains("<rect x=\"1\" y=\"0\" width=\"1\" height=\"1\" fill=\"#0b5d1e\"/>"),
            "{page}"
        );
    }

    #[test]
    fn terminals_get_characters() {
        assert_eq!(small(&map().levels[0].1), "    ··██\n    ░░▒▒\n");
    }

    #[test]
    fn characters_stand_for_several_cells_and_lose_none() {
        let high = |rows: usize| Picture {
            columns: 1,
            cells: vec![Cell::Missing; rows],
            ..map().levels.swap_remove(0).1
        };
        assert_eq!(small(&high(24)).lines().count(), 24);
        assert_eq!(small(&high(64)).lines().count(), 16);
        let mut wide = Picture {
            columns: 60,
            cells: vec![Cell::Outside; 240],
            ..high(0)
        };
        wide.cells[61] = Cell::Day;
        wide.cells[239] = Cell::Day;
        wide.cells[238] = Cell::Missing;
        let line = |first, last| format!("    {first}{}{last}\n", "·".repeat(28));
        assert_eq!(small(&wide), line('█', '▒'));
    }

    #[test]
    fn names_of_maps_are_checked_beforehand() {
        for name in ["a.png", "a.HTML", "a/b.htm"] {
            assert!(path(name).is_ok(), "{name}");
        }
        for name in ["a.gif", "png", ""] {
            assert!(path(name).is_err(), "{name}");
        }
    }

    #[test]
    fn pictures_can_be_read() {
        let path = std::env::temp_dir().join(format!("mapproxy-map-{}.png", std::process::id()));
        write(&path, &[map(), map()]).unwrap();
        let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(&path).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (144, 280));
        let at = |x: usize, y: usize| pixels[y * 144 + x];
        assert_eq!((at(0, 0), at(8, 8), at(80, 8), at(8, 80), at(80, 80)), (8, 0, 3, 1, 2));
        fs::remove_file(&path).unwrap();
        assert!(write(Path::new("map.gif"), &[map()]).is_err());
    }
}
