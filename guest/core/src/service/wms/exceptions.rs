//! Errors as clients asked to be told of them: documents of the four versions, or pictures.

use askama::Template;

use crate::config::model::{WmsService, WmsVersion};
use crate::http::Response;
use crate::image::{ImageFormat, ImageOptions, MapImageError, blank, message_image};
use crate::request::wms::{ExceptionFormat, ExceptionStyle};
use crate::service::cache_headers::not_cacheable;
use crate::service::document::render;
use crate::service::printable;

use super::error::WmsError;
use super::formats::find_format;
use super::map::image_format;

/// The answer to a request that failed.
pub(super) fn answer(error: &WmsError, style: &ExceptionStyle, service: &WmsService) -> Response {
    let (width, height) = style.size;
    let too_large = u64::from(width) * u64::from(height) > service.max_output_pixels;
    let response = if style.format == ExceptionFormat::Xml || error.forces_xml() || too_large {
        document(error, style.version)
    } else {
        // an error of drawing is no reason to give no answer at all
        picture(error, style, service).unwrap_or_else(|_| document(error, style.version))
    };
    not_cacheable(response)
}

fn picture(error: &WmsError, style: &ExceptionStyle, service: &WmsService) -> Result<Response, MapImageError> {
    let format = find_format(service, &style.image_format, style.version);
    let (mime, base) = match format {
        Some(format) => {
            let options = ImageOptions {
                format: Some(image_format(format)),
                ..format.options.clone()
            };
            (format.mime.as_str(), options)
        }
        None => (
            "image/png",
            ImageOptions {
                format: Some(ImageFormat::PNG),
                ..ImageOptions::default()
            },
        ),
    };
    let options = ImageOptions {
        transparent: Some(style.transparent),
        bgcolor: Some(style.bgcolor),
        ..base
    };
    let image = if style.format == ExceptionFormat::InImage {
        message_image(&error.to_string(), style.size, &options)?
    } else {
        blank(style.size.0, style.size.1, &options)?
    };
    Ok(Response::new(200, mime, image.into_bytes(&options)?))
}

#[derive(Template)]
#[template(path = "wms/exception_100.xml")]
struct Exception100<'a> {
    message: &'a str,
}

#[derive(Template)]
#[template(path = "wms/exception_11x.xml")]
struct Exception11x<'a> {
    message: &'a str,
    code: Option<&'a str>,
    version: &'a str,
    dtd: &'a str,
}

#[derive(Template)]
#[template(path = "wms/exception_130.xml")]
struct Exception130<'a> {
    message: &'a str,
    code: Option<&'a str>,
}

fn document(error: &WmsError, version: WmsVersion) -> Response {
    let message = error.to_string();
    let message = printable(&message);
    let (message, code) = (message.as_ref(), error.code());
    let (media_type, rendered) = match version {
        WmsVersion::V100 => ("text/xml", render(&Exception100 { message })),
        WmsVersion::V110 => {
            let dtd = "http://schemas.opengis.net/wms/1.1.0/exception_1_1_0.dtd";
            let document = Exception11x {
                message,
                code,
                version: "1.1.0",
                dtd,
            };
            ("application/vnd.ogc.se_xml", render(&document))
        }
        WmsVersion::V111 => {
            let dtd = "http://schemas.opengis.net/wms/1.1.1/exception_1_1_1.dtd";
            let document = Exception11x {
                message,
                code,
                version: "1.1.1",
                dtd,
            };
            ("application/vnd.ogc.se_xml", render(&document))
        }
        WmsVersion::V130 => ("text/xml", render(&Exception130 { message, code })),
    };
    Response::new(error.status(), media_type, rendered)
}
