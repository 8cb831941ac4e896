//! GetFeatureInfo: what the sources of a layer know about a pixel, as one document. (Behaviour section 2.6.)

use std::rc::Rc;

use crate::assemble::WmsLayer;
use crate::config::model::{WmsService, WmsVersion};
use crate::http::Response;
use crate::image::ImageFormat;
use crate::layer::{FeatureInfo, InfoKind, LayerError};
use crate::query::InfoQuery;
use crate::request::wms::{GetFeatureInfo, WmsRequestError};
use crate::service::Context;
use crate::xslt::XsltError;

use super::error::WmsError;
use super::formats::info_mime;
use super::layers::{Layers, expand, named};
use super::map::find_srs;

/// Answers GetFeatureInfo.
pub(super) fn get_feature_info(
    context: &Context<'_>,
    service: &WmsService,
    request: GetFeatureInfo,
) -> Result<Response, WmsError> {
    let version = request.map.version;
    let asked_for = request.info_format.clone();
    let layers = |name: &str| context.assembly.wms_layer(name);
    let infos = ask(service, &layers, request)?;
    let combined = FeatureInfo::combine(&infos).map(|info| styled(service, &infos, info, asked_for.as_deref()));
    Ok(match combined.transpose()? {
        Some(info) => Response::new(200, mime(info.kind, version), info.content),
        None => Response::new(200, asked_for.as_deref().unwrap_or("text/plain"), Vec::new()),
    })
}

/// The combined document as the service's style sheet for the wanted type makes it. Documents of different kinds become
/// text, which stays as it is.
fn styled(
    service: &WmsService,
    infos: &[FeatureInfo],
    combined: FeatureInfo,
    asked_for: Option<&str>,
) -> Result<FeatureInfo, WmsError> {
    let sheet = |kind: InfoKind| {
        let mut sheets = service.featureinfo_xslt.iter();
        sheets
            .find(|(name, _)| InfoKind::of_media_type(name) == kind)
            .map(|(_, sheet)| (kind, sheet))
    };
    let chosen = match asked_for {
        Some(format) => sheet(InfoKind::of_media_type(format)),
        None => sheet(InfoKind::Xml).or_else(|| sheet(InfoKind::Html)),
    };
    match chosen {
        Some((kind, sheet)) if infos.iter().all(|info| info.kind == combined.kind) => {
            let failed = |error: XsltError| LayerError::Source {
                message: format!("feature information cannot be transformed: {error}"),
                status: None,
                detail: None,
            };
            Ok(combined.transformed(sheet, kind).map_err(failed)?)
        }
        _ => Ok(combined),
    }
}

/// The answers of all sources that know something, in drawing order of their layers.
pub(super) fn ask(
    service: &WmsService,
    layers: &dyn Layers,
    request: GetFeatureInfo,
) -> Result<Vec<FeatureInfo>, WmsError> {
    named(layers, &request.map.layers)?;
    let srs = find_srs(service, &request.map)?;
    let queried = named(layers, &request.query_layers)?;
    let mut leaves: Vec<Rc<WmsLayer>> = Vec::new();
    for layer in &queried {
        if !layer.conf.queryable {
            let name = layer.conf.name.clone().unwrap_or_default();
            return Err(WmsRequestError::NotQueryable { name }.into());
        }
        for leaf in expand(layers, layer)? {
            if !leaves.iter().any(|known| Rc::ptr_eq(known, &leaf)) {
                leaves.push(leaf);
            }
        }
    }
    let query = InfoQuery {
        bbox: request.map.bbox,
        size: request.map.size,
        srs,
        pos: request.pos,
        info_format: request.info_format,
        // 1.0.0 says `PNG`, which its successors call `image/PNG`
        format: ImageFormat::new(request.map.format).mime_type().into_owned(),
        feature_count: request.feature_count,
        dimensions: request.map.dimensions,
    };
    let mut infos = Vec::new();
    for source in leaves.iter().flat_map(|leaf| &leaf.sources) {
        infos.extend(source.get_infos(&query)?);
    }
    Ok(infos)
}

fn mime(kind: InfoKind, version: WmsVersion) -> &'static str {
    let name = match kind {
        InfoKind::Text => "text",
        InfoKind::Html => "html",
        InfoKind::Xml => "xml",
        InfoKind::Json => "json",
    };
    info_mime(name, version)
}
