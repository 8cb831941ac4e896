//! All layers as the compiled configuration holds them: the segments of single layers are referred to, not repeated,
//! since every request pays for copying every byte.

use serde::{Deserialize, Serialize};

use super::compiled::{Compiled, CompiledBuilder, Kind};
use super::model::{Layer, LayerNode, LayerTree, TileLayer};

/// A [`LayerNode`] in the segment.
#[derive(Serialize, Deserialize)]
enum StoredNode {
    /// its layer has a segment of this name
    Named(String, Vec<Self>),
    Unnamed(Box<Layer>, Vec<Self>),
}

impl StoredNode {
    fn of(node: &LayerNode) -> Self {
        let children = node.children.iter().map(Self::of).collect();
        match &node.layer.name {
            Some(name) => Self::Named(name.clone(), children),
            None => Self::Unnamed(Box::new(node.layer.clone()), children),
        }
    }

    fn read(self, compiled: &Compiled) -> Option<LayerNode> {
        let (layer, children) = match self {
            Self::Named(name, children) => (compiled.get(Kind::Layer, &name)?, children),
            Self::Unnamed(layer, children) => (*layer, children),
        };
        Some(LayerNode {
            layer,
            children: read_all(children, compiled),
        })
    }
}

fn read_all(nodes: Vec<StoredNode>, compiled: &Compiled) -> Vec<LayerNode> {
    nodes.into_iter().filter_map(|node| node.read(compiled)).collect()
}

impl LayerTree {
    /// Writes the tree; its named layers have segments of their own.
    pub fn add_to(&self, builder: &mut CompiledBuilder) {
        let roots: Vec<_> = self.roots.iter().map(StoredNode::of).collect();
        builder.add(Kind::LayerTree, "", &roots);
    }

    /// The tree with its layers; of two with the same name the later one stands for both.
    pub fn of(compiled: &Compiled) -> Self {
        let roots = compiled.get(Kind::LayerTree, "").unwrap_or_default();
        Self {
            roots: read_all(roots, compiled),
        }
    }
}

impl TileLayer {
    /// Name of its segment.
    fn key(&self) -> String {
        format!("{}/{}", self.name, self.grid)
    }

    /// Writes all tile layers, in this order.
    pub fn add_all_to(layers: &[Self], builder: &mut CompiledBuilder) {
        for layer in layers {
            builder.add(Kind::TileLayer, &layer.key(), layer);
        }
        let keys: Vec<String> = layers.iter().map(Self::key).collect();
        builder.add(Kind::TileLayers, "", &keys);
    }

    /// All tile layers in the order of the configuration.
    pub fn all(compiled: &Compiled) -> Vec<Self> {
        let keys: Vec<String> = compiled.get(Kind::TileLayers, "").unwrap_or_default();
        keys.iter()
            .filter_map(|key| compiled.get(Kind::TileLayer, key))
            .collect()
    }
}
