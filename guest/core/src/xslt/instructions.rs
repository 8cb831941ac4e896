//! Style sheets read and checked: every expression is parsed, every instruction known, before anything is transformed.

use std::collections::HashMap;

use super::tree::{Kind, NodeId, Tree};
use super::xpath::{Expr, Operator, parse};
use super::{Expressions, Piece, Stylesheet, Template, Templates, XsltError, eval};

/// The namespace of XSLT.
pub(super) const XSL: &str = "http://www.w3.org/1999/XSL/Transform";

/// What is parsed of a style sheet, by attribute.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub(super) expressions: Expressions,
    pub(super) values: Templates,
}

/// Instructions with the attributes that are expressions, patterns included, and the ones that have to be there.
const INSTRUCTIONS: [(&str, &[&str], &[&str]); 21] = [
    ("apply-templates", &["select"], &[]),
    ("attribute", &[], &["name"]),
    ("call-template", &[], &["name"]),
    ("choose", &[], &[]),
    ("comment", &[], &[]),
    ("copy", &[], &[]),
    ("copy-of", &["select"], &["select"]),
    ("element", &[], &["name"]),
    ("fallback", &[], &[]),
    ("for-each", &["select"], &["select"]),
    ("if", &["test"], &["test"]),
    ("message", &[], &[]),
    ("number", &["value", "count", "from"], &[]),
    ("otherwise", &[], &[]),
    ("param", &["select"], &["name"]),
    ("processing-instruction", &[], &["name"]),
    ("sort", &["select"], &[]),
    ("text", &[], &[]),
    ("value-of", &["select"], &["select"]),
    ("variable", &["select"], &["name"]),
    ("when", &["test"], &["test"]),
];
const WITH_PARAM: (&str, &[&str], &[&str]) = ("with-param", &["select"], &["name"]);
/// Attributes of instructions whose value may have expressions in braces.
const VALUE_TEMPLATES: [(&str, &str); 10] = [
    ("attribute", "name"),
    ("attribute", "namespace"),
    ("element", "name"),
    ("element", "namespace"),
    ("processing-instruction", "name"),
    ("sort", "order"),
    ("sort", "data-type"),
    ("number", "format"),
    ("number", "grouping-separator"),
    ("number", "grouping-size"),
];

/// Whether this engine knows the instruction.
pub(super) fn is_known(name: &str) -> bool {
    name == WITH_PARAM.0 || INSTRUCTIONS.iter().any(|(known, ..)| *known == name)
}

/// The name of an element of XSLT.
pub(super) fn xsl(tree: &Tree, id: NodeId) -> Option<&str> {
    match &tree.get(id).kind {
        Kind::Element(name) if &*name.uri == XSL => Some(&name.local),
        _ => None,
    }
}

pub(super) fn stylesheet(text: &str) -> Result<Stylesheet, XsltError> {
    let mut tree = Tree::default();
    let document = tree.parse(text)?;
    tree.strip(document, &|tree, id| xsl(tree, id) == Some("text"));
    let is_element = |id: &NodeId| matches!(tree.get(*id).kind, Kind::Element(_));
    let root = tree.get(document).children.iter().copied().find(is_element);
    let root = root.ok_or_else(|| XsltError::Xml {
        reason: "no element".to_owned(),
    })?;
    let mut sheet = Stylesheet {
        tree,
        compiled: Compiled::default(),
        templates: Vec::new(),
        globals: Vec::new(),
        keys: Vec::new(),
        stripped: Vec::new(),
    };
    if matches!(xsl(&sheet.tree, root), Some("stylesheet" | "transform")) {
        for child in sheet.tree.get(root).children.clone() {
            sheet.top_level(child)?;
        }
    } else if sheet.tree.namespace(root, "xsl").is_some_and(|uri| uri == XSL) {
        // a result with instructions in it stands for a template of the document
        sheet.check(root)?;
        let pattern = parse("/", &|_| None)?;
        sheet.templates.push(Template {
            element: document,
            pattern: Some(pattern),
            name: None,
            mode: None,
            priority: 0.5,
        });
    } else {
        return Err(XsltError::Instruction {
            element: written(&sheet.tree, root),
            reason: "expected `xsl:stylesheet`".to_owned(),
        });
    }
    // the best one first; of equal ones the last
    sheet.templates.reverse();
    sheet
        .templates
        .sort_by(|one, other| other.priority.total_cmp(&one.priority));
    Ok(sheet)
}

fn written(tree: &Tree, id: NodeId) -> String {
    tree.name(id).map(super::tree::Name::written).unwrap_or_default()
}

impl Stylesheet {
    fn wrong(&self, element: NodeId, reason: impl Into<String>) -> XsltError {
        XsltError::Instruction {
            element: written(&self.tree, element),
            reason: reason.into(),
        }
    }

    fn top_level(&mut self, id: NodeId) -> Result<(), XsltError> {
        let Some(kind) = xsl(&self.tree, id).map(str::to_owned) else {
            return Ok(()); // data of the author
        };
        match kind.as_str() {
            "template" => self.template(id),
            "variable" | "param" => {
                self.globals.push(id);
                self.check(id)
            }
            "key" => {
                for key in ["match", "use"] {
                    if !self.expression(id, key)? {
                        return Err(self.wrong(id, format!("`{key}` is missing")));
                    }
                }
                self.keys.push(id);
                Ok(())
            }
            "strip-space" => {
                let names = self.tree.attribute(id, "elements").unwrap_or_default();
                self.stripped.extend(names.split_whitespace().map(str::to_owned));
                Ok(())
            }
            "output" | "preserve-space" | "decimal-format" => Ok(()),
            _ => Err(self.wrong(id, "not supported")),
        }
    }

    fn template(&mut self, id: NodeId) -> Result<(), XsltError> {
        let text = |key: &str| self.tree.attribute(id, key).map(str::to_owned);
        let (name, mode, pattern, priority) = (text("name"), text("mode"), text("match"), text("priority"));
        if name.is_none() && pattern.is_none() {
            return Err(self.wrong(id, "neither `match` nor `name`"));
        }
        let priority = priority.and_then(|number| number.trim().parse::<f64>().ok());
        if let Some(pattern) = pattern {
            let parsed = self.parsed(id, &pattern)?;
            let mut open = vec![parsed];
            while let Some(pattern) = open.pop() {
                match pattern {
                    Expr::Binary(Operator::Union, left, right) => open.extend([*right, *left]),
                    pattern @ (Expr::Path(_) | Expr::Call(..)) => self.templates.push(Template {
                        element: id,
                        priority: priority.unwrap_or_else(|| eval::priority(&pattern)),
                        pattern: Some(pattern),
                        name: None,
                        mode: mode.clone(),
                    }),
                    _ => return Err(self.wrong(id, format!("`{pattern:?}` is no pattern"))),
                }
            }
        }
        if let Some(name) = name {
            self.templates.push(Template {
                element: id,
                pattern: None,
                name: Some(name),
                mode: None,
                priority: 0.0,
            });
        }
        self.children(id)
    }

    fn children(&mut self, id: NodeId) -> Result<(), XsltError> {
        self.tree
            .get(id)
            .children
            .clone()
            .into_iter()
            .try_for_each(|child| self.check(child))
    }

    /// Checks an element of a template and all in it.
    fn check(&mut self, id: NodeId) -> Result<(), XsltError> {
        let Kind::Element(name) = &self.tree.get(id).kind else {
            return Ok(());
        };
        if &*name.uri != XSL {
            for attribute in self.tree.get(id).attributes.clone() {
                let Kind::Attribute(name, value) = self.tree.get(attribute).kind.clone() else {
                    continue;
                };
                if &*name.uri == XSL {
                    if &*name.local == "use-attribute-sets" {
                        return Err(self.wrong(id, "`use-attribute-sets` is not supported"));
                    }
                } else {
                    let pieces = self.pieces(id, &value)?;
                    self.compiled.values.insert(attribute, pieces);
                }
            }
            return self.children(id);
        }
        let local = name.local.to_string();
        let known = INSTRUCTIONS
            .iter()
            .chain([&WITH_PARAM])
            .find(|(known, ..)| *known == local);
        let Some((_, expressions, needed)) = known else {
            return Err(self.wrong(id, "not supported"));
        };
        for key in *needed {
            if self.tree.attribute(id, key).is_none() {
                return Err(self.wrong(id, format!("`{key}` is missing")));
            }
        }
        for key in *expressions {
            self.expression(id, key)?;
        }
        for (_, key) in VALUE_TEMPLATES.iter().filter(|(element, _)| *element == local) {
            if let Some((attribute, value)) = self.tree.attribute_node(id, key) {
                let value = value.to_owned();
                let pieces = self.pieces(id, &value)?;
                self.compiled.values.insert(attribute, pieces);
            }
        }
        self.children(id)
    }

    /// Parses the expression of an attribute, if it is there.
    fn expression(&mut self, element: NodeId, key: &str) -> Result<bool, XsltError> {
        let Some((attribute, value)) = self.tree.attribute_node(element, key) else {
            return Ok(false);
        };
        let value = value.to_owned();
        let expr = self.parsed(element, &value)?;
        self.compiled.expressions.insert(attribute, expr);
        Ok(true)
    }

    fn parsed(&self, element: NodeId, text: &str) -> Result<Expr, XsltError> {
        parse(text, &|prefix| self.tree.namespace(element, prefix).map(str::to_owned))
    }

    fn pieces(&self, element: NodeId, text: &str) -> Result<Vec<Piece>, XsltError> {
        let wrong = || self.wrong(element, format!("`{text}`: braces that do not match"));
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(position) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(position);
            plain.push_str(before);
            if let Some(tail) = after.strip_prefix("{{") {
                plain.push('{');
                rest = tail;
            } else if let Some(tail) = after.strip_prefix("}}") {
                plain.push('}');
                rest = tail;
            } else {
                let inner = after.strip_prefix('{').ok_or_else(wrong)?;
                let mut quote = None;
                let end = inner.find(|char: char| {
                    match quote {
                        None if matches!(char, '"' | '\'') => quote = Some(char),
                        Some(open) if open == char => quote = None,
                        _ => {}
                    }
                    quote.is_none() && char == '}'
                });
                let (expr, tail) = inner.split_at(end.ok_or_else(wrong)?);
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Expr(self.parsed(element, expr)?));
                rest = tail.strip_prefix('}').unwrap_or_default();
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(pieces)
    }

    /// Values of all keys in a document.
    pub(super) fn index(&self, document: NodeId, world: &mut eval::World) -> Result<(), XsltError> {
        for key in &self.keys {
            let (Some(pattern), Some(value)) = (self.expr(*key, "match"), self.expr(*key, "use")) else {
                continue;
            };
            let name = self.tree.attribute(*key, "name").unwrap_or_default().to_owned();
            let mut table: HashMap<String, Vec<NodeId>> = world.keys.remove(&name).unwrap_or_default();
            let mut nodes = eval::descendants(&world.tree, document);
            let attributes: Vec<NodeId> = nodes
                .iter()
                .flat_map(|id| world.tree.get(*id).attributes.clone())
                .collect();
            nodes.extend(attributes);
            for node in nodes {
                if !eval::matches(pattern, node, world)? {
                    continue;
                }
                let values = match eval::evaluate(value, eval::Context::of(node), world)? {
                    eval::Value::Nodes(nodes) => nodes.iter().map(|id| world.tree.text(*id)).collect(),
                    other => vec![other.text(&world.tree)],
                };
                for value in values {
                    table.entry(value).or_default().push(node);
                }
            }
            world.keys.insert(name, table);
        }
        Ok(())
    }

    /// The parsed expression of an attribute.
    pub(super) fn expr(&self, element: NodeId, key: &str) -> Option<&Expr> {
        let (attribute, _) = self.tree.attribute_node(element, key)?;
        self.compiled.expressions.get(&attribute)
    }
}
