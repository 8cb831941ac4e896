//! The operations of the sample WMS: OGC 00-028 (1.0.0), 01-068r3 (1.1.1) and 06-042 (1.3.0).

use std::fmt::Write as _;
use std::io::Cursor;

use anyhow::{Context as _, Result};
use image::{ExtendedColorType, ImageEncoder as _, codecs::jpeg::JpegEncoder, codecs::png};
use tiny_skia::Pixmap;

use super::capabilities;
use super::render::{self, Layer, View};
use super::request::{Params, RequestError, tile_view};
use super::world::World;

/// An answer ready to be sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: content_type.to_owned(),
            body: body.into(),
        }
    }
}

/// Answers a request to `path`; `base` is the server's own address, such as `http://127.0.0.1:8090`.
pub(super) fn answer(world: &World, base: &str, path: &str, params: &Params) -> Reply {
    if let Some(tile) = path.strip_prefix("/tiles/") {
        return tile_reply(world, tile).unwrap_or_else(|| Reply::new(404, "text/plain", "no such tile"));
    }
    if !matches!(path, "/" | "/service" | "/wms") {
        return Reply::new(
            404,
            "text/plain",
            "not found: try `/service?SERVICE=WMS&REQUEST=GetCapabilities`",
        );
    }
    let version = params.version();
    let operation = params.get("REQUEST").unwrap_or("GetCapabilities").to_ascii_lowercase();
    let reply = match operation.as_str() {
        "getmap" | "map" => get_map(world, params),
        "getfeatureinfo" | "feature_info" => get_feature_info(world, params),
        "getlegendgraphic" => get_legend_graphic(world, params),
        "getcapabilities" | "capabilities" => Ok(capabilities::document(version, base)),
        _ => Err(RequestError::new(
            Some("OperationNotSupported"),
            format!("unknown request `{operation}`"),
        )),
    };
    reply.unwrap_or_else(|error| {
        let mime = if version == "1.3.0" {
            "text/xml"
        } else {
            "application/vnd.ogc.se_xml"
        };
        Reply::new(200, mime, exception_report(version, error.code, &error.message))
    })
}

fn tile_reply(world: &World, tile: &str) -> Option<Reply> {
    let (tile, extension) = tile.rsplit_once('.')?;
    let mut numbers = tile.split('/').map(|part| part.parse::<u32>().ok());
    let (Some(z), Some(x), Some(y), None) = (numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()) else {
        return None;
    };
    let view = tile_view(z, x, y)?;
    let (format, layer) = match extension {
        "png" => (Format::Png, Layer::Map),
        "jpeg" | "jpg" => (Format::Jpeg, Layer::Photo),
        _ => return None,
    };
    let map = render::draw(world, &view, &[layer], Some([255, 255, 255]))?;
    Some(image_reply(&map, format, false))
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Png,
    Jpeg,
}

impl Format {
    fn from_name(name: &str) -> Option<Self> {
        match name
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
            .as_str()
        {
            "image/png" | "png" => Some(Self::Png),
            "image/jpeg" | "jpeg" => Some(Self::Jpeg),
            _ => None,
        }
    }
}

fn format_of(params: &Params) -> Result<Format, RequestError> {
    let name = params.require("FORMAT")?;
    Format::from_name(name)
        .ok_or_else(|| RequestError::new(Some("InvalidFormat"), format!("unsupported format `{name}`")))
}

fn get_map(world: &World, params: &Params) -> Result<Reply, RequestError> {
    let layers = params.layers("LAYERS")?;
    let view = params.view()?;
    let format = format_of(params)?;
    let transparent = params.transparent() && matches!(format, Format::Png);
    let ground = (!transparent).then(|| params.bgcolor());
    let map =
        render::draw(world, &view, &layers, ground).ok_or_else(|| RequestError::new(None, "the map is too large"))?;
    Ok(image_reply(&map, format, transparent))
}

fn image_reply(map: &Pixmap, format: Format, transparent: bool) -> Reply {
    let mime = match format {
        Format::Png => "image/png",
        Format::Jpeg => "image/jpeg",
    };
    match encode(map, format, transparent) {
        Ok(bytes) => Reply::new(200, mime, bytes),
        Err(error) => Reply::new(500, "text/plain", format!("{error:#}")),
    }
}

fn encode(map: &Pixmap, format: Format, transparent: bool) -> Result<Vec<u8>> {
    let (width, height) = (map.width(), map.height());
    let mut bytes = Cursor::new(Vec::new());
    if transparent {
        let rgba: Vec<u8> = map
            .pixels()
            .iter()
            .flat_map(|pixel| {
                let color = pixel.demultiply();
                [color.red(), color.green(), color.blue(), color.alpha()]
            })
            .collect();
        png_encoder(&mut bytes)
            .write_image(&rgba, width, height, ExtendedColorType::Rgba8)
            .context("failed to encode a PNG")?;
    } else {
        let rgb: Vec<u8> = map
            .pixels()
            .iter()
            .flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()])
            .collect();
        match format {
            Format::Png => png_encoder(&mut bytes).write_image(&rgb, width, height, ExtendedColorType::Rgb8),
            Format::Jpeg => {
                JpegEncoder::new_with_quality(&mut bytes, 92).write_image(&rgb, width, height, ExtendedColorType::Rgb8)
            }
        }
        .context("failed to encode an image")?;
    }
    Ok(bytes.into_inner())
}

fn png_encoder(bytes: &mut Cursor<Vec<u8>>) -> png::PngEncoder<&mut Cursor<Vec<u8>>> {
    png::PngEncoder::new_with_quality(bytes, png::CompressionType::Fast, png::FilterType::Adaptive)
}

/// The country at the point, and a place within eight pixels of it.
fn get_feature_info(world: &World, params: &Params) -> Result<Reply, RequestError> {
    params.layers("QUERY_LAYERS")?;
    let view = params.view()?;
    let names = if params.version() == "1.3.0" {
        ["I", "J"]
    } else {
        ["X", "Y"]
    };
    let [column, row] = [params.number(names[0])?, params.number(names[1])?];
    if column >= view.width || row >= view.height {
        return Err(RequestError::new(
            Some("InvalidPoint"),
            format!("point {column},{row} is outside of the map"),
        ));
    }
    let [column, row] = [column, row].map(|v| f64::from(v) + 0.5);
    let [lon, lat] = view.lonlat(column, row);
    let mut found: Vec<(&str, &str, &str)> = Vec::new();
    if let Some(country) = world.country_at(lon, lat) {
        found.push(("country", &country.name, &country.id));
    }
    let place = world.places.iter().find(|place| near(&view, place.at, [column, row]));
    found.extend(place.map(|place| ("place", place.name.as_str(), "")));
    let format = params.get("INFO_FORMAT").unwrap_or("text/plain");
    let body = match format {
        "text/plain" => info_text(lon, lat, &found),
        "text/html" => info_html(lon, lat, &found),
        "text/xml" | "application/vnd.ogc.gml" | "application/vnd.ogc.gml/3.1.1" => info_xml(lon, lat, &found),
        "application/json" => {
            let features: Vec<_> = found
                .iter()
                .map(|(kind, name, id)| {
                    serde_json::json!({"type": "Feature", "geometry": {"type": "Point", "coordinates": [round(lon), round(lat)]},
                        "properties": {"kind": kind, "name": name, "id": id}})
                })
                .collect();
            serde_json::json!({"type": "FeatureCollection", "features": features}).to_string()
        }
        _ => {
            return Err(RequestError::new(
                Some("InvalidFormat"),
                format!("unsupported info format `{format}`"),
            ));
        }
    };
    let mime = if format.starts_with("text/") {
        format!("{format}; charset=utf-8")
    } else {
        format.to_owned()
    };
    Ok(Reply::new(200, &mime, body))
}

fn near(view: &View, [lon, lat]: [f64; 2], [column, row]: [f64; 2]) -> bool {
    let [x, y] = view.pixel(view.projection.forward(lon, lat));
    (x - column).hypot(y - row) <= 8.0
}

/// To five places, a metre or so.
fn round(degrees: f64) -> f64 {
    (degrees * 1e5).round() / 1e5
}

fn info_text(lon: f64, lat: f64, found: &[(&str, &str, &str)]) -> String {
    let mut text = format!("position = {lon:.5} {lat:.5}\n");
    for (kind, name, id) in found {
        let _ = writeln!(
            text,
            "{kind} = {name}{}",
            if id.is_empty() {
                String::new()
            } else {
                format!(" ({id})")
            }
        );
    }
    text
}

fn info_html(lon: f64, lat: f64, found: &[(&str, &str, &str)]) -> String {
    let mut rows = format!("<tr><th>position</th><td>{lon:.5} {lat:.5}</td></tr>");
    for (kind, name, _) in found {
        let _ = write!(rows, "<tr><th>{kind}</th><td>{}</td></tr>", escape(name));
    }
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Feature info</title></head><body><table>{rows}</table></body></html>\n"
    )
}

fn info_xml(lon: f64, lat: f64, found: &[(&str, &str, &str)]) -> String {
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<FeatureInfoResponse lon=\"{lon:.5}\" lat=\"{lat:.5}\">\n"
    );
    for (kind, name, id) in found {
        let _ = writeln!(
            xml,
            "  <Feature kind=\"{kind}\" id=\"{id}\"><name>{}</name></Feature>",
            escape(name)
        );
    }
    xml.push_str("</FeatureInfoResponse>\n");
    xml
}

/// A small picture for a layer: its own drawing of the Alps.
fn get_legend_graphic(world: &World, params: &Params) -> Result<Reply, RequestError> {
    let layers = params.layers("LAYER")?;
    let format = format_of(params)?;
    let size = |name: &str, default: u32| match params.get(name) {
        Some(_) => params.number(name).map(|v| v.clamp(1, 1024)),
        None => Ok(default),
    };
    let (width, height) = (size("WIDTH", 40)?, size("HEIGHT", 24)?);
    let view = View {
        projection: super::Projection::LonLat,
        bbox: [4.0, 43.0, 20.0, 52.6],
        width,
        height,
    };
    let map = render::draw(world, &view, &layers, Some([255, 255, 255]))
        .ok_or_else(|| RequestError::new(None, "the legend is too large"))?;
    Ok(image_reply(&map, format, false))
}

pub(super) fn exception_report(version: &str, code: Option<&str>, message: &str) -> String {
    let code = code.map_or_else(String::new, |code| format!(" code=\"{code}\""));
    let message = escape(message);
    match version {
        "1.3.0" => format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ServiceExceptionReport version=\"1.3.0\" xmlns=\"http://www.opengis.net/ogc\">\n  <ServiceException{code}>{message}</ServiceException>\n</ServiceExceptionReport>\n"
        ),
        "1.0.0" => format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<WMTException version=\"1.0.0\">{message}</WMTException>\n"
        ),
        _ => format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ServiceExceptionReport version=\"{version}\">\n  <ServiceException{code}>{message}</ServiceException>\n</ServiceExceptionReport>\n"
        ),
    }
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
