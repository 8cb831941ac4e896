//! XSLT 1.0 for feature information (`featureinfo_xslt`; behaviour section 2.6). No engine in pure Rust does what style
//! sheets written for libxslt count on, so this one does: XPath 1.0 and the instructions of XSLT 1.0, without what would
//! read other files (`xsl:import`, `xsl:include`, `document()`) and without attribute sets, which are refused when the
//! configuration is checked. A transformation ends after a fixed amount of work, so no style sheet hangs a request.

mod document;
mod eval;
mod functions;
mod html;
mod instructions;
mod output;
mod run;
mod tree;
mod xpath;

use std::collections::HashMap;

pub use document::{Document, Element};
use instructions::Compiled;
use tree::{NodeId, Tree};

/// Why a style sheet or a transformation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XsltError {
    #[error("not well-formed: {reason}")]
    Xml { reason: String },
    #[error("`{expression}`: {reason}")]
    Expression { expression: String, reason: String },
    #[error("`{element}`: {reason}")]
    Instruction { element: String, reason: String },
    #[error("unknown {what}")]
    Unknown { what: String },
    #[error("the style sheet ended it: {message}")]
    Terminated { message: String },
    #[error("the transformation takes too much work or memory")]
    TooMuch,
}

impl XsltError {
    fn xml(error: &impl ToString) -> Self {
        Self::Xml {
            reason: error.to_string(),
        }
    }
}

/// What is transformed.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    Xml(&'a str),
    /// as servers send it, however broken
    Html(&'a str),
}

/// How the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Xml,
    Html,
    Text,
}

/// A style sheet, checked.
#[derive(Debug)]
pub struct Stylesheet {
    tree: Tree,
    compiled: Compiled,
    templates: Vec<Template>,
    /// `xsl:variable` and `xsl:param` at the top
    globals: Vec<NodeId>,
    keys: Vec<NodeId>,
    /// names of `xsl:strip-space`
    stripped: Vec<String>,
}

/// A template for one of the alternatives of its pattern, or with a name.
#[derive(Debug)]
struct Template {
    element: NodeId,
    pattern: Option<xpath::Expr>,
    name: Option<String>,
    mode: Option<String>,
    priority: f64,
}

impl Stylesheet {
    /// Parses and checks a style sheet.
    pub fn parse(text: &str) -> Result<Self, XsltError> {
        instructions::stylesheet(text)
    }

    /// Transforms a document.
    pub fn transform(&self, source: Source<'_>, method: Method) -> Result<String, XsltError> {
        let mut tree = Tree::default();
        let document = match source {
            Source::Xml(text) => tree.parse(text)?,
            Source::Html(text) => html::parse(&mut tree, text)?,
        };
        let (tree, result) = run::transform(self, tree, document)?;
        Ok(match method {
            Method::Xml => output::to_xml(&tree, result),
            Method::Html => output::to_html(&tree, result),
            Method::Text => tree.text(result),
        })
    }
}

/// Parts of an attribute value template.
#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Expr(xpath::Expr),
}

type Expressions = HashMap<NodeId, xpath::Expr>;
type Templates = HashMap<NodeId, Vec<Piece>>;

#[cfg(test)]
mod tests;
