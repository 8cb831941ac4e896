//! Draws the layers of the sample WMS with tiny-skia.
//!
//! Which labels fit is decided on the whole world at the scale of the map, never on the map's own section, so that
//! tiles made one by one fit together.

use ab_glyph::FontArc;
use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash, Transform};

use super::projection::Projection;
use super::text;
use super::topography;
use super::world::{Country, Point, Projected, Shape, World, clip_line, clip_ring};

/// How many fills `World` hands out to neighbours.
pub(super) const COUNTRY_COLOURS: usize = FILLS.len();
const FILLS: [[u8; 3]; 6] = [
    [243, 228, 190],
    [214, 230, 194],
    [242, 210, 192],
    [222, 214, 234],
    [203, 228, 221],
    [248, 238, 204],
];
const SEA: [u8; 3] = [170, 211, 229];
const LAND: [u8; 3] = [240, 235, 220];
const COAST: [u8; 3] = [88, 142, 172];
const BORDER: [u8; 3] = [150, 120, 140];
const GRATICULE: [u8; 3] = [70, 110, 140];
const PLACE: [u8; 3] = [60, 64, 76];
const PLACE_TEXT: [u8; 3] = [48, 52, 64];
const COUNTRY_TEXT: [u8; 3] = [112, 92, 112];
/// Pixels around the map that are drawn too, so that strokes and labels reach in.
const MARGIN: f64 = 120.0;

/// What can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// Everything in good order.
    Map,
    Land,
    Countries,
    Borders,
    Places,
    Graticule,
    /// Continuous-tone terrain.
    Photo,
}

impl Layer {
    pub(super) const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Map, "map", "World map"),
        (Self::Land, "land", "Land"),
        (Self::Countries, "countries", "Countries"),
        (Self::Borders, "borders", "Borders"),
        (Self::Places, "places", "Places"),
        (Self::Graticule, "graticule", "Graticule"),
        (Self::Photo, "photo", "Terrain"),
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known, _)| *known == name)
            .map(|(layer, ..)| *layer)
    }
}

/// A section of a map: bounding box in map units (min x, min y, max x, max y) and size in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) projection: Projection,
    pub(super) bbox: [f64; 4],
    pub(super) width: u32,
    pub(super) height: u32,
}

impl View {
    pub(super) fn pixel(&self, [x, y]: Point) -> Point {
        [(x - self.bbox[0]) / self.res()[0], (self.bbox[3] - y) / self.res()[1]]
    }

    /// Map units per pixel, east and north.
    fn res(&self) -> Point {
        [
            (self.bbox[2] - self.bbox[0]) / f64::from(self.width),
            (self.bbox[3] - self.bbox[1]) / f64::from(self.height),
        ]
    }

    /// Longitude and latitude under a pixel, fractions counted from its upper left corner.
    pub(super) fn lonlat(&self, column: f64, row: f64) -> Point {
        self.projection.inverse(
            self.bbox[0] + column * self.res()[0],
            self.bbox[3] - row * self.res()[1],
        )
    }

    /// Degrees of latitude per pixel, roughly.
    fn degrees_per_pixel(&self) -> f64 {
        match self.projection {
            Projection::LonLat => self.res()[1],
            Projection::Mercator | Projection::Utm32 => self.res()[1] / 111_320.0,
        }
    }

    fn pixel_window(&self) -> [f64; 4] {
        [
            -MARGIN,
            -MARGIN,
            f64::from(self.width) + MARGIN,
            f64::from(self.height) + MARGIN,
        ]
    }

    fn touches(&self, bounds: [f64; 4]) -> bool {
        let (mx, my) = (MARGIN * self.res()[0], MARGIN * self.res()[1]);
        bounds[2] >= self.bbox[0] - mx
            && bounds[0] <= self.bbox[2] + mx
            && bounds[3] >= self.bbox[1] - my
            && bounds[1] <= self.bbox[3] + my
    }
}

/// Draws layers bottom to top on a transparent or coloured ground.
pub(super) fn draw(world: &World, view: &View, layers: &[Layer], ground: Option<[u8; 3]>) -> Option<Pixmap> {
    let mut pixmap = Pixmap::new(view.width, view.height)?;
    if let Some(ground) = ground {
        pixmap.fill(color(ground, 1.0));
    }
    for layer in layers {
        Canvas {
            world,
            lines: world.projected(view.projection),
            view,
            pixmap: &mut pixmap,
        }
        .layer(*layer);
    }
    Some(pixmap)
}

struct Canvas<'a> {
    world: &'a World,
    lines: &'a Projected,
    view: &'a View,
    pixmap: &'a mut Pixmap,
}

impl Canvas<'_> {
    fn layer(&mut self, layer: Layer) {
        match layer {
            Layer::Map => {
                self.pixmap.fill(color(SEA, 1.0));
                self.shallows();
                self.countries();
                self.borders();
                self.graticule(0.22);
                self.labels(true);
            }
            Layer::Land => self.fill_land(|_| LAND),
            Layer::Countries => self.countries(),
            Layer::Borders => self.borders(),
            Layer::Places => self.labels(false),
            Layer::Graticule => self.graticule(0.8),
            Layer::Photo => self.photo(),
        }
    }

    /// Two soft bands of lighter water along the coasts.
    fn shallows(&mut self) {
        for (width, alpha) in [(14.0, 0.22), (6.0, 0.35)] {
            self.stroke(&self.lines.coast, [214, 236, 244], alpha, width, None);
        }
    }

    fn countries(&mut self) {
        self.fill_land(|country| FILLS[country.colour]);
        self.stroke(&self.lines.coast, COAST, 0.9, 0.9, None);
    }

    fn borders(&mut self) {
        self.stroke(&self.lines.borders, [255, 255, 255], 0.55, 2.4, None);
        self.stroke(&self.lines.borders, BORDER, 0.9, 0.9, None);
    }

    fn fill_land(&mut self, fill: impl Fn(&Country) -> [u8; 3]) {
        for (country, rings) in self.world.countries.iter().zip(&self.lines.countries) {
            let Some(path) = self.area(rings) else { continue };
            let fill = fill(country);
            self.pixmap
                .fill_path(&path, &paint(fill, 1.0), FillRule::EvenOdd, Transform::identity(), None);
            // neighbours' anti-aliased edges would let the ground shine through between them
            let seam = Stroke {
                width: 0.6,
                ..Stroke::default()
            };
            self.pixmap
                .stroke_path(&path, &paint(fill, 1.0), &seam, Transform::identity(), None);
        }
    }

    fn area(&self, rings: &[Shape]) -> Option<Path> {
        let mut builder = PathBuilder::new();
        for ring in rings.iter().filter(|ring| self.view.touches(ring.bounds)) {
            let points: Vec<Point> = ring.points.iter().map(|point| self.view.pixel(*point)).collect();
            let points = clip_ring(&points, self.view.pixel_window());
            if points.len() > 2 {
                add_points(&mut builder, &points);
                builder.close();
            }
        }
        builder.finish()
    }

    fn stroke(&mut self, lines: &[Shape], rgb: [u8; 3], alpha: f32, width: f32, dash: Option<StrokeDash>) {
        let mut builder = PathBuilder::new();
        for line in lines.iter().filter(|line| self.view.touches(line.bounds)) {
            let points: Vec<Point> = line.points.iter().map(|point| self.view.pixel(*point)).collect();
            for part in clip_line(&points, self.view.pixel_window()) {
                add_points(&mut builder, &part);
            }
        }
        if let Some(path) = builder.finish() {
            let stroke = Stroke {
                width,
                line_cap: LineCap::Round,
                line_join: LineJoin::Round,
                dash,
                ..Stroke::default()
            };
            self.pixmap
                .stroke_path(&path, &paint(rgb, alpha), &stroke, Transform::identity(), None);
        }
    }

    /// Meridians and parallels at a round number of degrees, some 100 pixels apart or more.
    fn graticule(&mut self, alpha: f32) {
        let degrees = self.view.degrees_per_pixel();
        let steps = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0];
        let step = steps.into_iter().find(|step| step / degrees > 90.0).unwrap_or(30.0);
        let window = self.view.projection.window();
        // the part of the world under the map, from a raster of points
        let mut seen = [f64::MAX, f64::MAX, f64::MIN, f64::MIN];
        for (i, j) in (0..=8).flat_map(|i| (0..=8).map(move |j| (f64::from(i) / 8.0, f64::from(j) / 8.0))) {
            let [lon, lat] = self
                .view
                .lonlat(i * f64::from(self.view.width), j * f64::from(self.view.height));
            seen = [seen[0].min(lon), seen[1].min(lat), seen[2].max(lon), seen[3].max(lat)];
        }
        let first = |min: f64, limit: f64| ((min.max(limit) / step).floor() - 1.0) as i32;
        let last = |max: f64, limit: f64| ((max.min(limit) / step).ceil() + 1.0) as i32;
        let (west, east) = (first(seen[0], window[0]), last(seen[2], window[2]));
        let (south, north) = (first(seen[1], window[1]), last(seen[3], window[3]));
        let mut lines: Vec<Vec<Point>> = Vec::new();
        for index in west..=east {
            let lon = f64::from(index) * step;
            lines.push(
                (south * 4..=north * 4)
                    .map(|lat| [lon, f64::from(lat) * step / 4.0])
                    .collect(),
            );
        }
        for index in south..=north {
            let lat = f64::from(index) * step;
            lines.push(
                (west * 4..=east * 4)
                    .map(|lon| [f64::from(lon) * step / 4.0, lat])
                    .collect(),
            );
        }
        let inside = |[lon, lat]: &Point| {
            (window[0]..=window[2]).contains(lon) && (window[1].max(-89.0)..=window[3].min(89.0)).contains(lat)
        };
        let shapes: Vec<Shape> = lines
            .into_iter()
            .map(|line| {
                let points: Vec<Point> = line.into_iter().filter(inside).collect();
                let points: Vec<Point> = points
                    .iter()
                    .map(|p| self.view.projection.forward(p[0], p[1]))
                    .collect();
                Shape {
                    bounds: super::world::bounds(&points),
                    points,
                }
            })
            .filter(|shape| shape.points.len() > 1)
            .collect();
        self.stroke(&shapes, GRATICULE, alpha, 0.7, None);
    }

    /// Dots and names of places; with the countries' names, which then go first, on the map layer.
    fn labels(&mut self, countries: bool) {
        for label in Labels::at_scale(self.world, self.view, countries).placed {
            if !self.view.touches(label.bounds) {
                continue;
            }
            let at = self.view.pixel(label.anchor).map(|v| v as f32);
            let (rgb, halo) = if label.place {
                (PLACE_TEXT, 0.85)
            } else {
                (COUNTRY_TEXT, 0.6)
            };
            if label.place {
                self.dot(at);
            }
            let font = &self.world.font;
            let [dx, dy] = label.offset;
            let Some(path) = text::path(font, &label.text, label.size, label.spacing, at[0] + dx, at[1] + dy) else {
                continue;
            };
            let stroke = Stroke {
                width: 2.6,
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            self.pixmap.stroke_path(
                &path,
                &paint([255, 255, 255], halo),
                &stroke,
                Transform::identity(),
                None,
            );
            self.pixmap
                .fill_path(&path, &paint(rgb, 1.0), FillRule::Winding, Transform::identity(), None);
        }
    }

    fn dot(&mut self, [x, y]: [f32; 2]) {
        for (radius, rgb) in [(3.6, [255, 255, 255]), (2.6, PLACE), (1.1, [255, 255, 255])] {
            if let Some(circle) = PathBuilder::from_circle(x, y, radius) {
                self.pixmap.fill_path(
                    &circle,
                    &paint(rgb, 1.0),
                    FillRule::Winding,
                    Transform::identity(),
                    None,
                );
            }
        }
    }

    /// Hill-shaded terrain, pixel by pixel; opaque.
    fn photo(&mut self) {
        let (width, height) = (self.view.width as usize, self.view.height as usize);
        let Some(mut land) = Pixmap::new(self.view.width, self.view.height) else {
            return;
        };
        for rings in &self.lines.countries {
            if let Some(path) = self.area(rings) {
                land.fill_path(
                    &path,
                    &paint([0, 0, 0], 1.0),
                    FillRule::EvenOdd,
                    Transform::identity(),
                    None,
                );
            }
        }
        let octaves = ((60.0 / self.view.degrees_per_pixel()).log2().ceil() as u32).clamp(4, 12);
        // relief is exaggerated less where a pixel covers whole mountain chains
        let relief = 4.0 / (self.view.degrees_per_pixel().sqrt() + 0.3);
        let mut row_above = vec![0.0; width + 1];
        for row in 0..=height {
            let heights: Vec<(f64, f64)> = (0..=width)
                .map(|column| {
                    let [lon, lat] = self.view.lonlat(column as f64 - 0.5, row as f64 - 0.5);
                    (topography::height(lon, lat, octaves), lat)
                })
                .collect();
            if row > 0 {
                for column in 0..width {
                    let (h, lat) = heights[column + 1];
                    let slope = (h - heights[column].0) + (h - row_above[column + 1]);
                    let index = (row - 1) * width + column;
                    let cover = f64::from(land.pixels()[index].alpha()) / 255.0;
                    let shade = (1.0 + slope * relief).clamp(0.55, 1.35);
                    let ground = topography::land_colour(h, lat).map(|v| v * shade);
                    let rgb = topography::mix(topography::sea_colour(h), ground, cover);
                    let [r, g, b] = rgb.map(|v| v.clamp(0.0, 255.0) as u8);
                    self.pixmap.pixels_mut()[index] = tiny_skia::ColorU8::from_rgba(r, g, b, 255).premultiply();
                }
            }
            for (above, (h, _)) in row_above.iter_mut().zip(&heights) {
                *above = *h;
            }
        }
    }
}

/// A name and where it goes.
struct Label {
    text: String,
    place: bool,
    /// In map units.
    anchor: Point,
    /// From the anchor to the start of the baseline, pixels.
    offset: [f32; 2],
    size: f32,
    spacing: f32,
    /// In map units.
    bounds: [f64; 4],
}

/// The names that fit on a world map of one scale.
struct Labels {
    placed: Vec<Label>,
    res: Point,
}

impl Labels {
    fn at_scale(world: &World, view: &View, countries: bool) -> Self {
        let mut labels = Self {
            placed: Vec::new(),
            res: view.res(),
        };
        let degrees = view.degrees_per_pixel();
        let window = view.projection.window();
        let visible = |p: Point| p[0] > window[0] && p[0] < window[2] && p[1].abs() < 84.0;
        // 1.4 degrees per pixel is the world in one tile
        let count = (8.0 * (1.0 / degrees).powf(1.3)) as usize;
        let places: Vec<_> = world
            .places
            .iter()
            .take(count)
            .filter(|place| visible(place.at))
            .collect();
        // the great cities go before the countries' names, all others after them
        let great = if countries {
            places.len().min(count / 5)
        } else {
            places.len()
        };
        for place in &places[..great] {
            labels.place(
                &world.font,
                &place.name,
                view.projection.forward(place.at[0], place.at[1]),
            );
        }
        if countries {
            let mut order: Vec<&Country> = world
                .countries
                .iter()
                .filter(|country| visible(country.label))
                .collect();
            let width = |country: &Country| country.label_bounds[2] - country.label_bounds[0];
            order.sort_by(|a, b| width(b).total_cmp(&width(a)));
            for country in order {
                labels.country(&world.font, country, width(country) / degrees, view.projection);
            }
        }
        for place in &places[great..] {
            labels.place(
                &world.font,
                &place.name,
                view.projection.forward(place.at[0], place.at[1]),
            );
        }
        labels
    }

    fn place(&mut self, font: &FontArc, name: &str, anchor: Point) {
        const SIZE: f32 = 11.5;
        let width = text::width(font, name, SIZE, 0.0);
        // right of the dot, else left, above, below
        let offsets = [
            [6.5, 4.0],
            [-6.5 - width, 4.0],
            [-width / 2.0, -7.0],
            [-width / 2.0, 16.0],
        ];
        for offset in offsets {
            let label = Label {
                text: name.to_owned(),
                place: true,
                anchor,
                offset,
                size: SIZE,
                spacing: 0.0,
                bounds: self.bounds(anchor, offset, width, SIZE, true),
            };
            if self.try_add(label) {
                return;
            }
        }
    }

    fn country(&mut self, font: &FontArc, country: &Country, room: f64, projection: Projection) {
        let size = (7.5 + room / 70.0).clamp(9.5, 17.0) as f32;
        let spacing = size * 0.14;
        let text = country.name.to_uppercase();
        let width = text::width(font, &text, size, spacing);
        if f64::from(width) > room * 1.15 {
            return;
        }
        let anchor = projection.forward(country.label[0], country.label[1]);
        let offset = [-width / 2.0, size * 0.36];
        self.try_add(Label {
            bounds: self.bounds(anchor, offset, width, size, false),
            text,
            place: false,
            anchor,
            offset,
            size,
            spacing,
        });
    }

    /// Of the text and the dot, with a little air, in map units.
    fn bounds(&self, anchor: Point, offset: [f32; 2], width: f32, size: f32, dot: bool) -> [f64; 4] {
        let radius = if dot { 4.0 } else { f32::MIN };
        let left = (offset[0] - 2.0).min(-radius);
        let right = (offset[0] + width + 2.0).max(radius);
        let top = (offset[1] - size).min(-radius);
        let bottom = (offset[1] + size * 0.3).max(radius);
        let [left, right] = [left, right].map(|v| anchor[0] + f64::from(v) * self.res[0]);
        let [bottom, top] = [bottom, top].map(|v| anchor[1] - f64::from(v) * self.res[1]);
        [left, bottom, right, top]
    }

    fn try_add(&mut self, label: Label) -> bool {
        let b = label.bounds;
        let free = self.placed.iter().all(|other| {
            let o = other.bounds;
            b[2] < o[0] || b[0] > o[2] || b[3] < o[1] || b[1] > o[3]
        });
        if free {
            self.placed.push(label);
        }
        free
    }
}

fn add_points(builder: &mut PathBuilder, points: &[Point]) {
    for (index, [x, y]) in points.iter().enumerate() {
        if index == 0 {
            builder.move_to(*x as f32, *y as f32);
        } else {
            builder.line_to(*x as f32, *y as f32);
        }
    }
}

fn color([r, g, b]: [u8; 3], alpha: f32) -> Color {
    let mut color = Color::from_rgba8(r, g, b, 255);
    color.apply_opacity(alpha);
    color
}

fn paint(rgb: [u8; 3], alpha: f32) -> Paint<'static> {
    let mut paint = Paint {
        anti_alias: true,
        ..Paint::default()
    };
    paint.set_color(color(rgb, alpha));
    paint
}
