//! The OGC Web Map Tile Service 1.0.0, by key-value pairs and by addresses. (MapProxy: `service/wmts.py`;
//! OGC 07-057r7.)
//!
//! Rows count from the top here, always. A layer whose grid cannot be counted from there (its levels do not fill the
//! grid's box) does not exist for this service.

mod capabilities;
mod exception;
mod feature_info;
mod get_tile;

pub use exception::{ExceptionCode, exception_report};

use exception::WmtsError;

use super::Context;
use super::cache_headers::not_cacheable;
use super::printable;
use crate::config::compiled::Kind;
use crate::config::model::WmtsService;
use crate::http::Response;
use crate::request::wmts::{AddressTemplate, WmtsRequest};
use crate::request::{QueryParams, percent_decode};

/// Answers `service=WMTS` at `/service` and `/ows`.
pub fn handle_kvp(context: &Context<'_>, params: &QueryParams) -> Response {
    let service = service(context);
    if !service.kvp {
        let text = "The value of the service parameter \"WMTS\" is invalid";
        return exception_report(400, ExceptionCode::InvalidParameterValue, Some("service"), text);
    }
    let request = match WmtsRequest::from_params(params) {
        Ok(request) => request,
        Err(error) => return WmtsError::from(error).into_response(),
    };
    match request {
        WmtsRequest::GetCapabilities => Ok(capabilities::answer(context, &service, capabilities::Encoding::Kvp)),
        WmtsRequest::GetTile(tile) => get_tile::answer(context, &tile, false),
        WmtsRequest::GetFeatureInfo(info) => feature_info::answer(context, &service, &info, false),
    }
    .unwrap_or_else(WmtsError::into_response)
}

/// Answers a path that begins with `/wmts`.
pub fn handle_rest(context: &Context<'_>) -> Response {
    let service = service(context);
    let path = context.path().strip_prefix("/wmts").unwrap_or_default();
    if matches!(path, "" | "/") && service.kvp && !context.request.query.is_empty() {
        return handle_kvp(context, &QueryParams::parse(&context.request.query));
    }
    if service.restful {
        if path.ends_with("/1.0.0/WMTSCapabilities.xml") {
            return capabilities::answer(context, &service, capabilities::Encoding::Rest);
        }
        if let Some(tile) = AddressTemplate::parse(&service.restful_template).match_tile(path) {
            return get_tile::answer(context, &tile, true).unwrap_or_else(WmtsError::into_response);
        }
        let template = AddressTemplate::parse(&service.restful_featureinfo_template);
        if let Some(info) = template.match_feature_info(path) {
            return feature_info::answer(context, &service, &info, true).unwrap_or_else(WmtsError::into_response);
        }
    }
    let path = percent_decode(context.path());
    not_cacheable(Response::new(
        404,
        "text/plain",
        format!("invalid request ({})", printable(&path)),
    ))
}

fn service(context: &Context<'_>) -> WmtsService {
    context
        .compiled
        .get(Kind::WmtsService, "")
        .expect("the dispatcher checked that the service is configured")
}
