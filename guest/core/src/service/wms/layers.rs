//! Which layers a request draws, and which of those that are below others are not worth drawing.

use std::rc::Rc;

use crate::assemble::WmsLayer;
use crate::layer::LayerError;
use crate::query::MapQuery;
use crate::request::wms::WmsRequestError;

use super::error::WmsError;

/// Layers by name, built when they are asked for.
pub(super) trait Layers {
    fn find(&self, name: &str) -> Result<Option<Rc<WmsLayer>>, LayerError>;
}

impl<F: Fn(&str) -> Result<Option<Rc<WmsLayer>>, LayerError>> Layers for F {
    fn find(&self, name: &str) -> Result<Option<Rc<WmsLayer>>, LayerError> {
        self(name)
    }
}

/// The layers named in a request, each once, in their order; an unknown one is an error.
pub(super) fn named(layers: &dyn Layers, names: &[String]) -> Result<Vec<Rc<WmsLayer>>, WmsError> {
    let mut found: Vec<Rc<WmsLayer>> = Vec::with_capacity(names.len());
    let mut seen: Vec<&str> = Vec::with_capacity(names.len());
    for name in names {
        let layer = layers
            .find(name)?
            .ok_or_else(|| WmsRequestError::UnknownLayer { name: name.clone() })?;
        if !seen.contains(&name.as_str()) {
            seen.push(name);
            found.push(layer);
        }
    }
    Ok(found)
}

/// What a layer stands for: itself if it has sources, else the layers below it.
pub(super) fn expand(layers: &dyn Layers, layer: &Rc<WmsLayer>) -> Result<Vec<Rc<WmsLayer>>, LayerError> {
    if !layer.conf.sources.is_empty() || layer.conf.children.is_empty() {
        return Ok(vec![Rc::clone(layer)]);
    }
    let mut children = Vec::with_capacity(layer.conf.children.len());
    for name in &layer.conf.children {
        children.extend(layers.find(name)?);
    }
    Ok(children)
}

/// The layers to draw, bottom first: those shown at this resolution, without what an opaque one above them covers.
pub(super) fn to_draw(
    layers: &dyn Layers,
    requested: &[Rc<WmsLayer>],
    query: &MapQuery,
) -> Result<Vec<Rc<WmsLayer>>, LayerError> {
    let mut drawn: Vec<Rc<WmsLayer>> = Vec::new();
    for layer in requested.iter().filter(|layer| is_shown(layer, query)) {
        let leaves = expand(layers, layer)?;
        let is_opaque = |leaf: &Rc<WmsLayer>| leaf.sources.iter().any(|source| source.is_opaque(query));
        if leaves.iter().any(is_opaque) {
            drawn.clear();
        }
        for leaf in leaves.into_iter().filter(|leaf| is_shown(leaf, query)) {
            if !drawn.iter().any(|other| Rc::ptr_eq(other, &leaf)) {
                drawn.push(leaf);
            }
        }
    }
    Ok(drawn)
}

fn is_shown(layer: &WmsLayer, query: &MapQuery) -> bool {
    layer.conf.res_range.is_none_or(|range| range.contains_query(query))
}
