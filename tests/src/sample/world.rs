//! Natural Earth 1:110m in memory: countries and shared borders from the npm package `world-atlas` (TopoJSON), places
//! from the shapefile in the PyPI package `geopandas`. `tests/fetch-data.sh` brings both.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::projection::Projection;

/// The whole world in degrees.
const WORLD: [f64; 4] = [-180.0, -90.0, 180.0, 90.0];

/// Longitude and latitude in degrees, or map coordinates.
pub(super) type Point = [f64; 2];

#[derive(Debug)]
pub(super) struct World {
    pub(super) countries: Vec<Country>,
    /// Where land meets sea, without the map's own edge.
    pub(super) coast: Vec<Vec<Point>>,
    /// Where two countries meet, each line once.
    pub(super) borders: Vec<Vec<Point>>,
    /// The most important first.
    pub(super) places: Vec<Place>,
    pub(super) font: ab_glyph::FontArc,
    projected: [OnceLock<Projected>; 3],
}

#[derive(Debug)]
pub(super) struct Country {
    /// ISO 3166-1 numeric, empty where there is none.
    pub(super) id: String,
    pub(super) name: String,
    /// Each a ring and its holes.
    pub(super) polygons: Vec<Vec<Vec<Point>>>,
    /// No two neighbours have the same.
    pub(super) colour: usize,
    /// A point well inside of the largest polygon.
    pub(super) label: Point,
    /// Bounds of the largest polygon: min lon, min lat, max lon, max lat.
    pub(super) label_bounds: [f64; 4],
}

#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) at: Point,
}

/// The lines of the world in map coordinates.
#[derive(Debug)]
pub(super) struct Projected {
    /// For each country its rings, all polygons in one list (the filling rule is even-odd).
    pub(super) countries: Vec<Vec<Shape>>,
    pub(super) coast: Vec<Shape>,
    pub(super) borders: Vec<Shape>,
}

/// Projected points and their bounds.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) points: Vec<Point>,
    pub(super) bounds: [f64; 4],
}

impl World {
    /// The world, loaded once per process.
    pub(super) fn get() -> Result<Arc<Self>> {
        static WORLD: OnceLock<Arc<World>> = OnceLock::new();
        if let Some(world) = WORLD.get() {
            return Ok(Arc::clone(world));
        }
        let world = Arc::new(Self::load(Path::new(env!("CARGO_MANIFEST_DIR")))?);
        Ok(Arc::clone(WORLD.get_or_init(|| world)))
    }

    fn load(folder: &Path) -> Result<Self> {
        let topology: Topology =
            serde_json::from_slice(&read(&folder.join("node_modules/world-atlas/countries-110m.json"))?)
                .context("failed to parse the TopoJSON of world-atlas")?;
        let places = folder.join("data/places");
        let places = parse_places(
            &read(&places.join("naturalearth_cities.shp"))?,
            &read(&places.join("naturalearth_cities.dbf"))?,
        )?;
        let font = read(&folder.join("node_modules/@expo-google-fonts/inter/500Medium/Inter_500Medium.ttf"))?;
        let font = ab_glyph::FontArc::try_from_vec(font).context("failed to parse the typeface")?;
        topology.into_world(places, font)
    }

    /// The country around a place given in degrees.
    pub(super) fn country_at(&self, lon: f64, lat: f64) -> Option<&Country> {
        self.countries
            .iter()
            .find(|country| country.polygons.iter().any(|rings| contains(rings, [lon, lat])))
    }

    /// All lines in a projection, made when first asked for.
    pub(super) fn projected(&self, projection: Projection) -> &Projected {
        self.projected[projection as usize].get_or_init(|| {
            let window = projection.window();
            let project = |points: Vec<Point>| {
                let points: Vec<Point> = points
                    .into_iter()
                    .map(|[lon, lat]| projection.forward(lon, lat))
                    .collect();
                Shape {
                    bounds: bounds(&points),
                    points,
                }
            };
            let lines = |lines: &[Vec<Point>]| {
                lines
                    .iter()
                    .flat_map(|line| clip_line(&densify(line), window))
                    .map(project)
                    .collect()
            };
            Projected {
                countries: self
                    .countries
                    .iter()
                    .map(|country| {
                        let rings = country.polygons.iter().flatten();
                        rings
                            .map(|ring| densify(&clip_ring(ring, window)))
                            .filter(|ring| ring.len() > 2)
                            .map(project)
                            .collect()
                    })
                    .collect(),
                coast: lines(&self.coast),
                borders: lines(&self.borders),
            }
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .with_context(|| format!("failed to read `{}`: run `make data`, which fetches it", path.display()))
}

/// TopoJSON as world-atlas writes it: quantized, delta-encoded arcs.
#[derive(Deserialize)]
struct Topology {
    transform: Transform,
    arcs: Vec<Vec<[i64; 2]>>,
    objects: Objects,
}

#[derive(Deserialize)]
struct Transform {
    scale: Point,
    translate: Point,
}

#[derive(Deserialize)]
struct Objects {
    countries: Collection,
}

#[derive(Deserialize)]
struct Collection {
    geometries: Vec<Geometry>,
}

#[derive(Deserialize)]
struct Geometry {
    #[serde(default)]
    id: String,
    properties: Properties,
    #[serde(flatten)]
    shape: Arcs,
}

#[derive(Deserialize)]
struct Properties {
    name: String,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Arcs {
    Polygon { arcs: Vec<Vec<i64>> },
    MultiPolygon { arcs: Vec<Vec<Vec<i64>>> },
}

impl Topology {
    fn into_world(self, places: Vec<Place>, font: ab_glyph::FontArc) -> Result<World> {
        let arcs: Vec<Vec<Point>> = self.arcs.iter().map(|arc| self.transform.points(arc)).collect();
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); arcs.len()];
        let mut countries = Vec::new();
        for geometry in self.objects.countries.geometries {
            let polygons = match geometry.shape {
                Arcs::Polygon { arcs } => vec![arcs],
                Arcs::MultiPolygon { arcs } => arcs,
            };
            for index in polygons.iter().flatten().flatten() {
                users[arc_index(*index)].push(countries.len());
            }
            let polygons: Vec<Vec<Vec<Point>>> = polygons
                .iter()
                .flat_map(|rings| {
                    let rings: Vec<Vec<Point>> = rings.iter().map(|ring| stitch(ring, &arcs)).collect();
                    cut_polygon(&rings)
                })
                .collect();
            let largest = polygons
                .iter()
                .max_by(|a, b| area(&a[0]).total_cmp(&area(&b[0])))
                .context("a country without polygons")?;
            countries.push(Country {
                id: geometry.id,
                name: geometry.properties.name,
                label: inner_point(largest),
                label_bounds: bounds(&largest[0]),
                colour: 0,
                polygons,
            });
        }
        colour(&mut countries, &users);
        let (mut coast, mut borders) = (Vec::new(), Vec::new());
        for (arc, users) in arcs.into_iter().zip(&users) {
            match users.len() {
                0 => {}
                1 => coast.extend(cut_line(&arc)),
                _ => borders.extend(cut_line(&arc)),
            }
        }
        ensure!(
            !coast.is_empty() && !borders.is_empty(),
            "the TopoJSON of world-atlas has no lines"
        );
        Ok(World {
            countries,
            coast,
            borders,
            places,
            font,
            projected: Default::default(),
        })
    }
}

impl Transform {
    fn points(&self, arc: &[[i64; 2]]) -> Vec<Point> {
        let (mut x, mut y) = (0, 0);
        arc.iter()
            .map(|[dx, dy]| {
                x += dx;
                y += dy;
                [
                    x as f64 * self.scale[0] + self.translate[0],
                    y as f64 * self.scale[1] + self.translate[1],
                ]
            })
            .collect()
    }
}

/// An arc's place in the list; a negative number means the arc backwards.
fn arc_index(index: i64) -> usize {
    usize::try_from(if index < 0 { !index } else { index }).expect("not negative")
}

fn stitch(ring: &[i64], arcs: &[Vec<Point>]) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for &index in ring {
        points.pop();
        let arc = &arcs[arc_index(index)];
        if index < 0 {
            points.extend(arc.iter().rev());
        } else {
            points.extend(arc);
        }
    }
    points
}

/// Undoes jumps over the date line: longitudes run on beyond 180 degrees.
fn unwrap(line: &[Point]) -> Vec<Point> {
    let mut turns = 0.0;
    let mut previous: Option<f64> = None;
    line.iter()
        .map(|[lon, lat]| {
            match previous.map(|previous| lon - previous) {
                Some(step) if step > 180.0 => turns -= 360.0,
                Some(step) if step < -180.0 => turns += 360.0,
                _ => {}
            }
            previous = Some(*lon);
            [lon + turns, *lat]
        })
        .collect()
}

/// Cuts a polygon at the date line, and leads a ring around the south pole along the pole: the package joins what
/// Natural Earth has cut.
fn cut_polygon(rings: &[Vec<Point>]) -> Vec<Vec<Vec<Point>>> {
    let rings: Vec<Vec<Point>> = rings
        .iter()
        .map(|ring| {
            let mut ring = unwrap(ring);
            if let (Some(&first), Some(&last)) = (ring.first(), ring.last())
                && (first[0] - last[0]).abs() > 180.0
            {
                ring.extend([[last[0], -90.0], [first[0], -90.0], first]);
            }
            ring
        })
        .collect();
    let shifted = |shift: f64| -> Vec<Vec<Point>> {
        rings
            .iter()
            .map(|ring| {
                let ring: Vec<Point> = ring.iter().map(|[lon, lat]| [lon + shift, *lat]).collect();
                let mut ring = clip_ring(&ring, WORLD);
                if ring.first() != ring.last() {
                    ring.extend(ring.first().copied());
                }
                ring
            })
            .filter(|ring| ring.len() > 3)
            .collect()
    };
    [-360.0, 0.0, 360.0]
        .into_iter()
        .map(shifted)
        .filter(|rings| !rings.is_empty())
        .collect()
}

/// Cuts a line at the date line.
fn cut_line(line: &[Point]) -> Vec<Vec<Point>> {
    let line = unwrap(line);
    let shifted = |shift: f64| {
        let line: Vec<Point> = line.iter().map(|[lon, lat]| [lon + shift, *lat]).collect();
        clip_line(&line, WORLD)
    };
    [-360.0, 0.0, 360.0].into_iter().flat_map(shifted).collect()
}

/// Gives each country the first colour that no earlier neighbour has, the ones with most neighbours first.
fn colour(countries: &mut [Country], users: &[Vec<usize>]) {
    let mut neighbours: HashMap<usize, Vec<usize>> = HashMap::new();
    for pair in users.iter().filter(|users| users.len() == 2) {
        neighbours.entry(pair[0]).or_default().push(pair[1]);
        neighbours.entry(pair[1]).or_default().push(pair[0]);
    }
    let mut order: Vec<usize> = (0..countries.len()).collect();
    order.sort_by_key(|index| (usize::MAX - neighbours.get(index).map_or(0, Vec::len), *index));
    let mut coloured = vec![None; countries.len()];
    for index in order {
        let taken: Vec<usize> = neighbours
            .get(&index)
            .into_iter()
            .flatten()
            .filter_map(|other| coloured[*other])
            .collect();
        // islands would all get the first colour: start them somewhere else each
        let colours = super::render::COUNTRY_COLOURS;
        let free = (0..colours)
            .map(|k| (k + index) % colours)
            .find(|colour| !taken.contains(colour));
        coloured[index] = free;
        countries[index].colour = free.unwrap_or(0);
    }
}

/// Points and their names; the shapefile lists the most important last.
fn parse_places(shp: &[u8], dbf: &[u8]) -> Result<Vec<Place>> {
    // a point record is 8 bytes of header, the shape type and two doubles, after a file header of 100 bytes
    const RECORD: usize = 28;
    ensure!(
        shp.len() > 100 && dbf.len() > 32,
        "the shapefile of the places is cut short"
    );
    let field = |at: usize| usize::from(u16::from_le_bytes([dbf[at], dbf[at + 1]]));
    let (header, width) = (field(8), field(10));
    let double = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let mut places: Vec<Place> = shp[100..]
        .chunks_exact(RECORD)
        .zip(dbf[header..].chunks_exact(width))
        .map(|(point, row)| Place {
            name: place_name(&row[1..]),
            at: [double(&point[12..20]), double(&point[20..28])],
        })
        .collect();
    places.reverse();
    Ok(places)
}

/// A name from ISO 8859-1, with what that code could not hold put back.
fn place_name(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    let text = text.trim().replace("  ", " ");
    match text.as_str() {
        "Chi?in?u" => "Chișinău".to_owned(),
        "?saka" => "Ōsaka".to_owned(),
        _ => text,
    }
}

/// Twice the area of a ring, in square degrees shrunk towards the poles as the earth is.
fn area(ring: &[Point]) -> f64 {
    let sum: f64 = ring
        .windows(2)
        .map(|pair| pair[0][0] * pair[1][1] - pair[1][0] * pair[0][1])
        .sum();
    let [_, miny, _, maxy] = bounds(ring);
    sum.abs() * f64::midpoint(miny, maxy).to_radians().cos()
}

pub(super) fn bounds(points: &[Point]) -> [f64; 4] {
    points.iter().fold([f64::MAX, f64::MAX, f64::MIN, f64::MIN], |b, p| {
        [b[0].min(p[0]), b[1].min(p[1]), b[2].max(p[0]), b[3].max(p[1])]
    })
}

/// Even-odd test against a ring and its holes.
fn contains(rings: &[Vec<Point>], [x, y]: Point) -> bool {
    let mut inside = false;
    for pair in rings.iter().flat_map(|ring| ring.windows(2)) {
        let ([x1, y1], [x2, y2]) = (pair[0], pair[1]);
        if (y1 > y) != (y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1 {
            inside = !inside;
        }
    }
    inside
}

/// The point of a 24 by 24 raster that is farthest from the outline.
fn inner_point(rings: &[Vec<Point>]) -> Point {
    const STEPS: u32 = 24;
    let [minx, miny, maxx, maxy] = bounds(&rings[0]);
    let mut best = ([f64::midpoint(minx, maxx), f64::midpoint(miny, maxy)], 0.0);
    for (i, j) in (0..STEPS).flat_map(|i| (0..STEPS).map(move |j| (i, j))) {
        let at = |step: u32, min: f64, max: f64| min + (max - min) * (f64::from(step) + 0.5) / f64::from(STEPS);
        let point = [at(i, minx, maxx), at(j, miny, maxy)];
        if contains(rings, point) {
            let clearance = rings
                .iter()
                .flat_map(|ring| ring.windows(2))
                .map(|s| distance(point, s[0], s[1]));
            let clearance = clearance.fold(f64::MAX, f64::min);
            if clearance > best.1 {
                best = (point, clearance);
            }
        }
    }
    best.0
}

/// From a point to a segment; north-south counts double, since a label is wider than high.
fn distance(p: Point, a: Point, b: Point) -> f64 {
    let (px, py) = (p[0] - a[0], 2.0 * (p[1] - a[1]));
    let (bx, by) = (b[0] - a[0], 2.0 * (b[1] - a[1]));
    let t = ((px * bx + py * by) / (bx * bx + by * by).max(1e-12)).clamp(0.0, 1.0);
    (px - t * bx).hypot(py - t * by)
}

/// Adds points so that no piece is longer than a degree: straight lines in degrees are curves on other maps.
fn densify(line: &[Point]) -> Vec<Point> {
    let mut dense = Vec::with_capacity(line.len() * 2);
    dense.extend(line.first());
    for pair in line.windows(2) {
        let ([x1, y1], [x2, y2]) = (pair[0], pair[1]);
        let steps = (x2 - x1).abs().max((y2 - y1).abs()).ceil().max(1.0) as u32;
        for step in 1..=steps {
            let t = f64::from(step) / f64::from(steps);
            dense.push([x1 + (x2 - x1) * t, y1 + (y2 - y1) * t]);
        }
    }
    dense
}

/// Cuts a ring to a rectangle (Sutherland-Hodgman); runs along the rectangle where the ring leaves it.
pub(super) fn clip_ring(ring: &[Point], window: [f64; 4]) -> Vec<Point> {
    let mut points = ring.to_vec();
    for (axis, limit, sign) in [
        (0, window[0], 1.0),
        (1, window[1], 1.0),
        (0, window[2], -1.0),
        (1, window[3], -1.0),
    ] {
        let inside = |p: &Point| sign * (p[axis] - limit) >= 0.0;
        if points.iter().all(inside) {
            continue;
        }
        let mut clipped = Vec::with_capacity(points.len());
        for (index, &b) in points.iter().enumerate() {
            let a = points[(index + points.len() - 1) % points.len()];
            if inside(&a) != inside(&b) {
                let t = (limit - a[axis]) / (b[axis] - a[axis]);
                clipped.push([a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t]);
            }
            if inside(&b) {
                clipped.push(b);
            }
        }
        points = clipped;
    }
    points
}

/// The pieces of a line that lie in a rectangle.
pub(super) fn clip_line(line: &[Point], window: [f64; 4]) -> Vec<Vec<Point>> {
    let mut parts: Vec<Vec<Point>> = Vec::new();
    let mut connected = false;
    for pair in line.windows(2) {
        let Some(([a, b], ends_inside)) = clip_segment(pair[0], pair[1], window) else {
            connected = false;
            continue;
        };
        match parts.last_mut() {
            Some(part) if connected => part.push(b),
            _ => parts.push(vec![a, b]),
        }
        connected = ends_inside;
    }
    parts
}

/// Liang and Barsky's way to cut a segment to a rectangle; also tells whether it ends inside.
fn clip_segment(a: Point, b: Point, window: [f64; 4]) -> Option<([Point; 2], bool)> {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let (mut from, mut to) = (0.0_f64, 1.0_f64);
    for (p, q) in [
        (-dx, a[0] - window[0]),
        (dx, window[2] - a[0]),
        (-dy, a[1] - window[1]),
        (dy, window[3] - a[1]),
    ] {
        if p == 0.0 {
            if q < 0.0 {
                return None;
            }
        } else if p < 0.0 {
            from = from.max(q / p);
        } else {
            to = to.min(q / p);
        }
    }
    if from > to {
        return None;
    }
    let start = if from > 0.0 {
        [a[0] + dx * from, a[1] + dy * from]
    } else {
        a
    };
    let end = if to < 1.0 { [a[0] + dx * to, a[1] + dy * to] } else { b };
    Some(([start, end], to >= 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_where_they_should_be() {
        let world = World::get().unwrap();
        let at = |lon, lat| world.country_at(lon, lat).map(|country| country.name.as_str());
        assert_eq!(at(8.2, 53.1), Some("Germany"));
        assert_eq!(at(-100.0, 40.0), Some("United States of America"));
        assert_eq!(at(28.2, -29.5), Some("Lesotho"));
        assert_eq!(at(-30.0, 30.0), None);
    }

    #[test]
    fn neighbours_differ_in_colour() {
        let world = World::get().unwrap();
        let colour = |name| {
            world
                .countries
                .iter()
                .find(|country| country.name == name)
                .unwrap()
                .colour
        };
        for (a, b) in [
            ("Germany", "France"),
            ("Germany", "Poland"),
            ("China", "Russia"),
            ("Chile", "Argentina"),
        ] {
            assert_ne!(colour(a), colour(b), "{a} and {b}");
        }
    }

    #[test]
    fn the_most_important_places_come_first() {
        let world = World::get().unwrap();
        let first: Vec<&str> = world.places.iter().take(40).map(|place| place.name.as_str()).collect();
        assert!(first.contains(&"Tokyo") && first.contains(&"Paris"), "{first:?}");
        let tokyo = world.places.iter().find(|place| place.name == "Tokyo").unwrap();
        assert!((tokyo.at[0] - 139.7).abs() < 0.1 && (tokyo.at[1] - 35.7).abs() < 0.1);
    }

    #[test]
    fn clipping_a_ring_keeps_what_is_inside() {
        let ring = [[-5.0, -5.0], [5.0, -5.0], [5.0, 5.0], [-5.0, 5.0], [-5.0, -5.0]];
        let clipped = clip_ring(&ring, [0.0, 0.0, 10.0, 10.0]);
        assert_eq!(format!("{:?}", bounds(&clipped)), "[0.0, 0.0, 5.0, 5.0]");
        assert!(clip_ring(&ring, [6.0, 6.0, 10.0, 10.0]).is_empty());
    }

    #[test]
    fn clipping_a_line_splits_it_where_it_leaves() {
        let line = [[-5.0, 1.0], [5.0, 1.0], [5.0, 20.0], [6.0, 20.0], [6.0, 2.0]];
        let parts = clip_line(&line, [0.0, 0.0, 10.0, 10.0]);
        assert_eq!(
            parts,
            [vec![[0.0, 1.0], [5.0, 1.0], [5.0, 10.0]], vec![[6.0, 10.0], [6.0, 2.0]]]
        );
    }
}
