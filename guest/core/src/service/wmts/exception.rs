//! Errors as OWS 1.1 exception reports. (OGC 06-121r3 section 8.)

use askama::Template;

use super::super::cache_headers::not_cacheable;
use super::super::document::render;
use super::super::tile::TileError;
use crate::http::Response;
use crate::layer::LayerError;
use crate::request::wmts::WmtsRequestError;

/// What went wrong, in the words of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExceptionCode {
    MissingParameterValue,
    InvalidParameterValue,
    OperationNotSupported,
    NoApplicableCode,
    TileOutOfRange,
    PointIJOutOfRange,
}

impl ExceptionCode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::MissingParameterValue => "MissingParameterValue",
            Self::InvalidParameterValue => "InvalidParameterValue",
            Self::OperationNotSupported => "OperationNotSupported",
            Self::NoApplicableCode => "NoApplicableCode",
            Self::TileOutOfRange => "TileOutOfRange",
            Self::PointIJOutOfRange => "PointIJOutOfRange",
        }
    }
}

#[derive(Template)]
#[template(path = "wmts/exception.xml")]
struct Report<'a> {
    code: &'static str,
    locator: Option<&'a str>,
    text: &'a str,
}

/// An exception report; `locator` names the parameter at fault. Nobody may keep it.
pub fn exception_report(status: u16, code: ExceptionCode, locator: Option<&str>, text: &str) -> Response {
    let locator = locator.map(super::printable);
    let report = Report {
        code: code.as_str(),
        locator: locator.as_deref(),
        text: &super::printable(text),
    };
    not_cacheable(Response::new(status, "text/xml", render(&report)))
}

/// Why a request to the WMTS fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum WmtsError {
    #[error(transparent)]
    Request(#[from] WmtsRequestError),
    #[error("unknown tilematrixset: {name}")]
    UnknownTileMatrixSet { name: String },
    #[error("unknown tilematrix: {name}")]
    UnknownTileMatrix { name: String },
    #[error("unknown infoformat: {name}")]
    UnknownInfoFormat { name: String },
    #[error("layer {name} not queryable")]
    NotQueryable { name: String },
    #[error("pixel {i}, {j} is outside the tile")]
    PixelOutOfRange { i: i64, j: i64, locator: &'static str },
    #[error("{}", TileError::OutOfRange)]
    TileOutOfRange { locator: &'static str },
    #[error(transparent)]
    Tile(#[from] TileError),
}

impl From<LayerError> for WmtsError {
    fn from(error: LayerError) -> Self {
        Self::Tile(error.into())
    }
}

impl WmtsError {
    /// The report, with codes, locators and statuses of OWS Common 1.1.0 (8.3) and WMTS 1.0.0 (tables 20 and 24).
    pub(super) fn into_response(self) -> Response {
        use ExceptionCode as Code;
        let (status, code, locator) = match &self {
            Self::Request(WmtsRequestError::MissingParameters { names }) => {
                (400, Code::MissingParameterValue, names.first().copied())
            }
            Self::Request(WmtsRequestError::UnknownRequest { request }) if request.is_empty() => {
                (400, Code::MissingParameterValue, Some("request"))
            }
            Self::Request(WmtsRequestError::UnknownRequest { request }) => {
                (501, Code::OperationNotSupported, Some(request.as_str()))
            }
            Self::Request(WmtsRequestError::NoNumber { name, .. }) => (400, Code::InvalidParameterValue, Some(*name)),
            Self::UnknownTileMatrixSet { .. } => (400, Code::InvalidParameterValue, Some("tilematrixset")),
            Self::UnknownTileMatrix { .. } => (400, Code::InvalidParameterValue, Some("tilematrix")),
            Self::UnknownInfoFormat { .. } => (400, Code::InvalidParameterValue, Some("infoformat")),
            Self::NotQueryable { .. } => (501, Code::OperationNotSupported, None),
            Self::PixelOutOfRange { locator, .. } => (400, Code::PointIJOutOfRange, Some(*locator)),
            Self::TileOutOfRange { locator } => (400, Code::TileOutOfRange, Some(*locator)),
            Self::Tile(TileError::OutOfRange) => (400, Code::TileOutOfRange, None),
            Self::Tile(TileError::UnknownLayer { .. }) => (400, Code::InvalidParameterValue, Some("layer")),
            Self::Tile(TileError::InvalidFormat { .. }) => (400, Code::InvalidParameterValue, Some("format")),
            Self::Tile(TileError::InvalidDimension { name, .. }) => {
                (400, Code::InvalidParameterValue, Some(name.as_str()))
            }
            Self::Tile(TileError::Address(_) | TileError::Layer(_)) => (500, Code::NoApplicableCode, None),
        };
        let text = match &self {
            Self::Tile(error) => error.client_message(),
            other => other.to_string(),
        };
        exception_report(status, code, locator, &text)
    }
}
