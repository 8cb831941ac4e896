//! The Web Map Service. (MapProxy: `service/wms.py`; behaviour section 2 and 3.)

mod capabilities;
mod error;
mod exceptions;
mod featureinfo;
mod formats;
mod layers;
mod legend;
mod map;
mod srs_extent;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use crate::config::compiled::Kind;
use crate::config::model::WmsService;
use crate::http::Response;
use crate::request::QueryParams;
use crate::request::wms::{ExceptionStyle, Strictness, WmsRequest, negotiate, parse};
use crate::service::Context;

use error::WmsError;

/// Answers a WMS request. `None` if the configuration has no WMS.
pub fn handle(context: &Context<'_>, params: &QueryParams) -> Option<Response> {
    let service: WmsService = context.compiled.get(Kind::WmsService, "")?;
    let version = negotiate(params, &service.versions);
    let strictness = if service.strict {
        Strictness::Strict
    } else {
        Strictness::Lenient
    };
    let answer = match parse(params, version, strictness) {
        Ok(WmsRequest::Map(request)) => map::get_map(context, &service, request),
        Ok(WmsRequest::FeatureInfo(request)) => featureinfo::get_feature_info(context, &service, request),
        Ok(WmsRequest::Legend(request)) => legend::get_legend_graphic(context, &service, version, &request),
        Ok(WmsRequest::Capabilities { tiled }) => {
            capabilities::capabilities(context, &service, version, tiled).map_err(WmsError::from)
        }
        Err(error) => Err(error.into()),
    };
    Some(answer.unwrap_or_else(|error| exceptions::answer(&error, &ExceptionStyle::of(params, version), &service)))
}
