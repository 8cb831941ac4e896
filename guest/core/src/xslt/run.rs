//! Transformations carried out (XSLT 1.0, sections 5 to 13).

use std::cmp::Ordering;

use super::eval::{Context, Value, World, evaluate, matches};
use super::instructions::{XSL, xsl};
use super::tree::{Kind, Name, NodeId, Tree};
use super::{Piece, Stylesheet, XsltError};

/// Templates and instructions inside each other.
const MAX_DEPTH: usize = 400;

/// The tree with the result, and the result's root.
pub(super) fn transform(sheet: &Stylesheet, mut tree: Tree, document: NodeId) -> Result<(Tree, NodeId), XsltError> {
    if !sheet.stripped.is_empty() {
        let is_kept = |tree: &Tree, id: NodeId| {
            let name = tree.name(id).map(Name::written).unwrap_or_default();
            !sheet
                .stripped
                .iter()
                .any(|stripped| stripped == "*" || *stripped == name)
        };
        tree.strip(document, &is_kept);
    }
    let result = tree.add(None, Kind::Root)?;
    let mut run = Run {
        sheet,
        world: World::new(tree),
        globals: 0,
        depth: 0,
    };
    sheet.index(document, &mut run.world)?;
    for global in &sheet.globals {
        run.variable(*global, Context::of(document))?;
        run.globals += 1;
    }
    run.apply(document, None, Context::of(document), &Params::new(), result)?;
    Ok((run.world.tree, result))
}

struct Run<'s> {
    sheet: &'s Stylesheet,
    world: World,
    /// variables that are seen everywhere
    globals: usize,
    depth: usize,
}

type Params = Vec<(String, Value)>;

impl<'s> Run<'s> {
    fn wrong(&self, element: NodeId, reason: impl Into<String>) -> XsltError {
        let element = self.sheet.tree.name(element).map(Name::written).unwrap_or_default();
        XsltError::Instruction {
            element,
            reason: reason.into(),
        }
    }

    fn attribute(&self, element: NodeId, key: &str) -> Option<&'s str> {
        self.sheet.tree.attribute(element, key)
    }

    fn select(&mut self, element: NodeId, key: &str, context: Context) -> Result<Option<Value>, XsltError> {
        match self.sheet.expr(element, key) {
            Some(expr) => evaluate(expr, context, &mut self.world).map(Some),
            None => Ok(None),
        }
    }

    /// The text of an attribute value template.
    fn value(&mut self, attribute: NodeId, context: Context) -> Result<String, XsltError> {
        let mut text = String::new();
        for piece in self.sheet.compiled.values.get(&attribute).into_iter().flatten() {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Expr(expr) => {
                    let value = evaluate(expr, context, &mut self.world)?;
                    text.push_str(&value.text(&self.world.tree));
                }
            }
        }
        Ok(text)
    }

    fn named_value(&mut self, element: NodeId, key: &str, context: Context) -> Result<Option<String>, XsltError> {
        match self.sheet.tree.attribute_node(element, key) {
            Some((attribute, _)) => self.value(attribute, context).map(Some),
            None => Ok(None),
        }
    }

    /// Applies the template that fits a node, or the built-in rule.
    fn apply(
        &mut self,
        node: NodeId,
        mode: Option<&str>,
        context: Context,
        params: &Params,
        out: NodeId,
    ) -> Result<(), XsltError> {
        let sheet = self.sheet;
        for template in &sheet.templates {
            let Some(pattern) = &template.pattern else { continue };
            if template.mode.as_deref() == mode && matches(pattern, node, &mut self.world)? {
                return self.call(template.element, context, params, out);
            }
        }
        self.enter()?;
        match self.world.tree.get(node).kind.clone() {
            Kind::Root | Kind::Element(_) => {
                let children = self.world.tree.get(node).children.clone();
                let size = children.len();
                for (index, child) in children.into_iter().enumerate() {
                    let context = Context {
                        node: child,
                        position: index + 1,
                        size,
                        current: child,
                    };
                    self.apply(child, mode, context, &Params::new(), out)?;
                }
            }
            Kind::Text(text, _) | Kind::Attribute(_, text) => self.world.tree.add_text(out, &text, false)?,
            Kind::Comment(_) | Kind::Instruction(..) => {}
        }
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), XsltError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            Err(XsltError::TooMuch)
        } else {
            Ok(())
        }
    }

    /// Carries a template out, which sees none of the caller's variables.
    fn call(&mut self, template: NodeId, context: Context, params: &Params, out: NodeId) -> Result<(), XsltError> {
        let outer = self
            .world
            .variables
            .split_off(self.globals.min(self.world.variables.len()));
        for child in &self.sheet.tree.get(template).children {
            if xsl(&self.sheet.tree, *child) == Some("param") {
                let name = self.attribute(*child, "name").unwrap_or_default();
                match params.iter().find(|(known, _)| known == name) {
                    Some((name, value)) => self.world.variables.push((name.clone(), value.clone())),
                    None => self.variable(*child, context)?,
                }
            }
        }
        let done = self.body(template, context, out);
        self.world.variables.truncate(self.globals);
        self.world.variables.extend(outer);
        done
    }

    /// Carries out what stands in an element of the style sheet.
    fn body(&mut self, element: NodeId, context: Context, out: NodeId) -> Result<(), XsltError> {
        self.enter()?;
        let outer = self.world.variables.len();
        let sheet = self.sheet;
        for child in &sheet.tree.get(element).children {
            self.world.burn(1)?;
            match &sheet.tree.get(*child).kind {
                Kind::Text(text, _) => self.world.tree.add_text(out, text, false)?,
                Kind::Element(name) if &*name.uri == XSL => self.instruction(*child, &name.local, context, out)?,
                Kind::Element(name) => self.literal(*child, name, context, out)?,
                _ => {}
            }
        }
        self.world.variables.truncate(outer);
        self.depth -= 1;
        Ok(())
    }

    fn literal(&mut self, element: NodeId, name: &Name, context: Context, out: NodeId) -> Result<(), XsltError> {
        let made = self.world.tree.add(Some(out), Kind::Element(name.clone()))?;
        let sheet = self.sheet;
        for attribute in &sheet.tree.get(element).attributes {
            let Kind::Attribute(name, _) = &sheet.tree.get(*attribute).kind else {
                continue;
            };
            if &*name.uri != XSL {
                let value = self.value(*attribute, context)?;
                self.world.tree.set_attribute(made, name.clone(), value)?;
            }
        }
        self.body(element, context, made)
    }

    fn instruction(&mut self, id: NodeId, name: &str, context: Context, out: NodeId) -> Result<(), XsltError> {
        match name {
            "value-of" => {
                let value = self.select(id, "select", context)?;
                let text = value.map(|value| value.text(&self.world.tree)).unwrap_or_default();
                let raw = self.attribute(id, "disable-output-escaping") == Some("yes");
                self.world.tree.add_text(out, &text, raw)
            }
            "text" => {
                let raw = self.attribute(id, "disable-output-escaping") == Some("yes");
                let text = self.sheet.tree.text(id);
                self.world.tree.add_text(out, &text, raw)
            }
            "if" => match self.select(id, "test", context)? {
                Some(value) if value.boolean() => self.body(id, context, out),
                _ => Ok(()),
            },
            "choose" => {
                for branch in &self.sheet.tree.get(id).children {
                    let is_taken = match xsl(&self.sheet.tree, *branch) {
                        Some("when") => self
                            .select(*branch, "test", context)?
                            .is_some_and(|value| value.boolean()),
                        Some("otherwise") => true,
                        _ => false,
                    };
                    if is_taken {
                        return self.body(*branch, context, out);
                    }
                }
                Ok(())
            }
            "for-each" => {
                let nodes = self.nodes(id, context)?;
                let size = nodes.len();
                for (index, node) in nodes.into_iter().enumerate() {
                    self.body(
                        id,
                        Context {
                            node,
                            position: index + 1,
                            size,
                            current: node,
                        },
                        out,
                    )?;
                }
                Ok(())
            }
            "apply-templates" => {
                let nodes = if self.sheet.expr(id, "select").is_some() {
                    self.nodes(id, context)?
                } else {
                    let children = self.world.tree.get(context.node).children.clone();
                    self.sorted(id, children, context)?
                };
                let (mode, params) = (self.attribute(id, "mode"), self.params(id, context)?);
                let size = nodes.len();
                for (index, node) in nodes.into_iter().enumerate() {
                    let context = Context {
                        node,
                        position: index + 1,
                        size,
                        current: node,
                    };
                    self.apply(node, mode, context, &params, out)?;
                }
                Ok(())
            }
            "call-template" => {
                let name = self.attribute(id, "name");
                let template = self
                    .sheet
                    .templates
                    .iter()
                    .find(|template| template.name.as_deref() == name);
                let template = template
                    .ok_or_else(|| self.wrong(id, "there is no template of this name"))?
                    .element;
                let params = self.params(id, context)?;
                self.call(template, context, &params, out)
            }
            "variable" => self.variable(id, context),
            "copy-of" => match self.select(id, "select", context)? {
                Some(Value::Nodes(nodes)) => nodes.into_iter().try_for_each(|node| {
                    self.world.burn(1)?;
                    self.world.tree.copy(node, out)
                }),
                value => {
                    let text = value.map(|value| value.text(&self.world.tree)).unwrap_or_default();
                    self.world.tree.add_text(out, &text, false)
                }
            },
            "copy" => match self.world.tree.get(context.node).kind.clone() {
                Kind::Element(name) => {
                    let made = self.world.tree.add(Some(out), Kind::Element(name))?;
                    self.body(id, context, made)
                }
                Kind::Root => self.body(id, context, out),
                _ => self.world.tree.copy(context.node, out),
            },
            "element" | "attribute" => self.made(id, name == "element", context, out),
            "comment" => {
                let text = self.content(id, context)?;
                self.world.tree.add(Some(out), Kind::Comment(text)).map(drop)
            }
            "processing-instruction" => {
                let target = self.named_value(id, "name", context)?.unwrap_or_default();
                if self.sheet.tree.expand(id, &target, false).is_none() {
                    return Err(self.wrong(id, format!("`{target}` is no name")));
                }
                let text = self.content(id, context)?;
                self.world
                    .tree
                    .add(Some(out), Kind::Instruction(target, text))
                    .map(drop)
            }
            "message" => {
                let message = self.content(id, context)?;
                log::info!(target: "mapproxy.featureinfo", "{message}");
                if self.attribute(id, "terminate") == Some("yes") {
                    return Err(XsltError::Terminated { message });
                }
                Ok(())
            }
            "number" => self.number(id, context, out),
            // `param`s are done when the template is called, the others belong to what they stand in
            _ => Ok(()),
        }
    }

    /// `xsl:element` and `xsl:attribute`.
    fn made(&mut self, id: NodeId, is_element: bool, context: Context, out: NodeId) -> Result<(), XsltError> {
        let written = self.named_value(id, "name", context)?.unwrap_or_default();
        let name = match self.named_value(id, "namespace", context)? {
            Some(uri) => {
                let (prefix, local) = written.split_once(':').unwrap_or(("", &written));
                let plain = self.sheet.tree.expand(id, local, false);
                // an attribute in a namespace cannot go without a prefix
                let prefix = if prefix.is_empty() && !is_element && !uri.is_empty() {
                    "ns0"
                } else {
                    prefix
                };
                plain.map(|plain| Name {
                    prefix: prefix.into(),
                    uri: uri.into(),
                    ..plain
                })
            }
            None => self.sheet.tree.expand(id, &written, is_element),
        };
        let name = name.ok_or_else(|| self.wrong(id, format!("`{written}` is no name")))?;
        if is_element {
            let made = self.world.tree.add(Some(out), Kind::Element(name))?;
            return self.body(id, context, made);
        }
        let value = self.content(id, context)?;
        if matches!(self.world.tree.get(out).kind, Kind::Element(_)) {
            self.world.tree.set_attribute(out, name, value)?;
        }
        Ok(())
    }

    /// The text that an instruction's content makes.
    fn content(&mut self, id: NodeId, context: Context) -> Result<String, XsltError> {
        let fragment = self.world.tree.add(None, Kind::Root)?;
        self.body(id, context, fragment)?;
        Ok(self.world.tree.text(fragment))
    }

    fn variable(&mut self, id: NodeId, context: Context) -> Result<(), XsltError> {
        let name = self.attribute(id, "name").unwrap_or_default().to_owned();
        let value = self.bound(id, context)?;
        self.world.variables.push((name, value));
        Ok(())
    }

    /// The value of a variable or parameter: of its expression, or the fragment that its content makes.
    fn bound(&mut self, id: NodeId, context: Context) -> Result<Value, XsltError> {
        if let Some(value) = self.select(id, "select", context)? {
            return Ok(value);
        }
        if self.sheet.tree.get(id).children.is_empty() {
            return Ok(Value::Text(String::new()));
        }
        let fragment = self.world.tree.add(None, Kind::Root)?;
        self.body(id, context, fragment)?;
        Ok(Value::Nodes(vec![fragment]))
    }

    fn params(&mut self, id: NodeId, context: Context) -> Result<Params, XsltError> {
        let mut params = Params::new();
        for child in &self.sheet.tree.get(id).children {
            if xsl(&self.sheet.tree, *child) == Some("with-param") {
                let name = self.attribute(*child, "name").unwrap_or_default().to_owned();
                params.push((name, self.bound(*child, context)?));
            }
        }
        Ok(params)
    }

    /// The nodes of `select`, sorted if that is wanted.
    fn nodes(&mut self, id: NodeId, context: Context) -> Result<Vec<NodeId>, XsltError> {
        match self.select(id, "select", context)? {
            Some(Value::Nodes(nodes)) => self.sorted(id, nodes, context),
            _ => Err(self.wrong(id, "`select` yields no nodes")),
        }
    }

    fn sorted(&mut self, id: NodeId, nodes: Vec<NodeId>, outer: Context) -> Result<Vec<NodeId>, XsltError> {
        let sheet = self.sheet;
        let orders: Vec<NodeId> = sheet
            .tree
            .get(id)
            .children
            .iter()
            .copied()
            .filter(|child| xsl(&sheet.tree, *child) == Some("sort"))
            .collect();
        if orders.is_empty() {
            return Ok(nodes);
        }
        let mut directions = Vec::with_capacity(orders.len());
        for order in &orders {
            let is_down = self.named_value(*order, "order", outer)?.as_deref() == Some("descending");
            let is_number = self.named_value(*order, "data-type", outer)?.as_deref() == Some("number");
            directions.push((is_down, is_number));
        }
        let size = nodes.len();
        let mut rows = Vec::with_capacity(size);
        for (index, node) in nodes.into_iter().enumerate() {
            let context = Context {
                node,
                position: index + 1,
                size,
                current: node,
            };
            let mut row = Vec::with_capacity(orders.len());
            for order in &orders {
                let value = self
                    .select(*order, "select", context)?
                    .unwrap_or_else(|| Value::Nodes(vec![node]));
                row.push((value.text(&self.world.tree), value.number(&self.world.tree)));
            }
            rows.push((row, node));
        }
        rows.sort_by(|(one, _), (other, _)| {
            for (((text, number), (other_text, other_number)), (is_down, is_number)) in
                one.iter().zip(other).zip(&directions)
            {
                let ordering = if *is_number {
                    // what is no number comes first
                    number
                        .partial_cmp(other_number)
                        .unwrap_or_else(|| other_number.is_nan().cmp(&number.is_nan()))
                } else {
                    text.to_lowercase()
                        .cmp(&other_text.to_lowercase())
                        .then_with(|| text.cmp(other_text))
                };
                let ordering = if *is_down { ordering.reverse() } else { ordering };
                if ordering != Ordering::Equal {
                    return ordering;
                }
            }
            Ordering::Equal
        });
        Ok(rows.into_iter().map(|(_, node)| node).collect())
    }

    fn number(&mut self, id: NodeId, context: Context, out: NodeId) -> Result<(), XsltError> {
        let numbers = match self.select(id, "value", context)? {
            Some(value) => vec![value.number(&self.world.tree).round().max(0.0) as u64],
            None => self.counted(id, context)?,
        };
        let format = self
            .named_value(id, "format", context)?
            .unwrap_or_else(|| "1".to_owned());
        let text = numbering(&numbers, &format);
        self.world.tree.add_text(out, &text, false)
    }

    /// Numbers of a node among those that count (section 7.7).
    fn counted(&mut self, id: NodeId, context: Context) -> Result<Vec<u64>, XsltError> {
        let counts = |run: &mut Self, node: NodeId| match run.sheet.expr(id, "count") {
            Some(pattern) => matches(pattern, node, &mut run.world),
            None => Ok(
                match (&run.world.tree.get(node).kind, &run.world.tree.get(context.node).kind) {
                    (Kind::Element(one), Kind::Element(other)) => one == other,
                    (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
                },
            ),
        };
        let level = self.attribute(id, "level").unwrap_or("single");
        if level == "any" {
            let root = super::eval::root_of(&self.world.tree, context.node);
            let mut number = 0;
            for node in super::eval::descendants(&self.world.tree, root) {
                if node <= context.node && counts(self, node)? {
                    number += 1;
                }
            }
            return Ok(vec![number]);
        }
        let mut numbers = Vec::new();
        let above = super::eval::ancestors(&self.world.tree, context.node);
        for node in std::iter::once(context.node).chain(above) {
            if !counts(self, node)? {
                continue;
            }
            let siblings = self
                .world
                .tree
                .get(node)
                .parent
                .map(|parent| self.world.tree.get(parent).children.clone());
            let mut number = 0;
            for sibling in siblings.unwrap_or_default() {
                number += u64::from(counts(self, sibling)?);
                if sibling == node {
                    break;
                }
            }
            numbers.insert(0, number);
            if level == "single" {
                break;
            }
        }
        Ok(numbers)
    }
}

/// Numbers in a format such as `1.a) `: the last token stands for all that follow.
fn numbering(numbers: &[u64], format: &str) -> String {
    let mut tokens: Vec<(String, String)> = Vec::new();
    let mut prefix = String::new();
    let mut chars = format.chars().peekable();
    while let Some(char) = chars.next() {
        if !char.is_alphanumeric() {
            prefix.push(char);
            continue;
        }
        let mut token = char.to_string();
        while let Some(next) = chars.next_if(|next| next.is_alphanumeric()) {
            token.push(next);
        }
        tokens.push((std::mem::take(&mut prefix), token));
    }
    let last = tokens
        .last()
        .cloned()
        .unwrap_or_else(|| (String::new(), "1".to_owned()));
    let mut text = String::new();
    for (index, number) in numbers.iter().enumerate() {
        let (before, token) = tokens.get(index).unwrap_or(&last);
        let separator = if index > 0 && before.is_empty() { "." } else { before };
        text.push_str(separator);
        text.push_str(&numeral(*number, token));
    }
    text + &prefix
}

fn numeral(number: u64, token: &str) -> String {
    const ROMAN: [(u64, &str); 13] = [
        (1000, "m"),
        (900, "cm"),
        (500, "d"),
        (400, "cd"),
        (100, "c"),
        (90, "xc"),
        (50, "l"),
        (40, "xl"),
        (10, "x"),
        (9, "ix"),
        (5, "v"),
        (4, "iv"),
        (1, "i"),
    ];
    match token {
        "a" | "A" if number > 0 => {
            let mut letters = Vec::new();
            let mut rest = number;
            while rest > 0 {
                let letter = char::from(b'a' + u8::try_from((rest - 1) % 26).unwrap_or(0));
                letters.insert(0, letter);
                rest = (rest - 1) / 26;
            }
            let letters: String = letters.into_iter().collect();
            if token == "A" { letters.to_uppercase() } else { letters }
        }
        "i" | "I" if (1..4000).contains(&number) => {
            let mut text = String::new();
            let mut rest = number;
            for (value, letters) in ROMAN {
                while rest >= value {
                    text.push_str(letters);
                    rest -= value;
                }
            }
            if token == "I" { text.to_uppercase() } else { text }
        }
        _ => format!("{number:0width$}", width = token.len().min(20)),
    }
}
