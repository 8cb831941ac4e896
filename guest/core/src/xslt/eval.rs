//! XPath 1.0 expressions evaluated (sections 2 to 4), and patterns matched (XSLT 1.0, section 5.2).

use std::cmp::Ordering;
use std::collections::HashMap;

use super::XsltError;
use super::functions;
use super::tree::{Kind, NodeId, Tree};
use super::xpath::{Axis, Expr, Operator, Path, Start, Step, Test};

/// Nodes looked at in one transformation.
const FUEL: u64 = 20_000_000;

/// What an expression yields.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// in document order
    Nodes(Vec<NodeId>),
    Text(String),
    Number(f64),
    Boolean(bool),
}

/// What expressions see beside their context node.
#[derive(Debug)]
pub(super) struct World {
    pub(super) tree: Tree,
    /// innermost last
    pub(super) variables: Vec<(String, Value)>,
    /// by name, then value of a key
    pub(super) keys: HashMap<String, HashMap<String, Vec<NodeId>>>,
    pub(super) fuel: u64,
}

impl World {
    pub(super) fn new(tree: Tree) -> Self {
        Self {
            tree,
            variables: Vec::new(),
            keys: HashMap::new(),
            fuel: FUEL,
        }
    }

    pub(super) fn burn(&mut self, amount: usize) -> Result<(), XsltError> {
        self.fuel = self.fuel.checked_sub(amount as u64).ok_or(XsltError::TooMuch)?;
        Ok(())
    }
}

/// The node an expression is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) node: NodeId,
    /// from 1
    pub(super) position: usize,
    pub(super) size: usize,
    /// XSLT's current node
    pub(super) current: NodeId,
}

impl Context {
    pub(super) fn of(node: NodeId) -> Self {
        Self {
            node,
            position: 1,
            size: 1,
            current: node,
        }
    }
}

impl Value {
    pub(super) fn text(&self, tree: &Tree) -> String {
        match self {
            Self::Nodes(nodes) => nodes.first().map(|node| tree.text(*node)).unwrap_or_default(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number_text(*number),
            Self::Boolean(value) => value.to_string(),
        }
    }

    pub(super) fn number(&self, tree: &Tree) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Boolean(value) => f64::from(u8::from(*value)),
            Self::Text(text) => to_number(text),
            Self::Nodes(_) => to_number(&self.text(tree)),
        }
    }

    pub(super) fn boolean(&self) -> bool {
        match self {
            Self::Nodes(nodes) => !nodes.is_empty(),
            Self::Text(text) => !text.is_empty(),
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::Boolean(value) => *value,
        }
    }
}

/// XPath's notation of a number.
pub(super) fn number_text(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if number == 0.0 {
        "0".to_owned()
    } else {
        number.to_string()
    }
}

/// XPath's reading of one: digits, point, sign.
pub(super) fn to_number(text: &str) -> f64 {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number =
        digits.chars().all(|c| c.is_ascii_digit() || c == '.') && digits.chars().any(|c| c.is_ascii_digit());
    if is_number {
        text.parse().unwrap_or(f64::NAN)
    } else {
        f64::NAN
    }
}

pub(super) fn evaluate(expr: &Expr, context: Context, world: &mut World) -> Result<Value, XsltError> {
    world.burn(1)?;
    Ok(match expr {
        Expr::Literal(text) => Value::Text(text.clone()),
        Expr::Number(number) => Value::Number(*number),
        Expr::Negated(inner) => Value::Number(-evaluate(inner, context, world)?.number(&world.tree)),
        Expr::Variable(name) => {
            let known = world.variables.iter().rev().find(|(known, _)| known == name);
            known
                .map(|(_, value)| value.clone())
                .ok_or_else(|| XsltError::Unknown {
                    what: format!("variable `{name}`"),
                })?
        }
        Expr::Call(name, arguments) => functions::call(name, arguments, context, world)?,
        Expr::Path(path) => Value::Nodes(path_nodes(path, context, world)?),
        Expr::Binary(operator, left, right) => binary(*operator, left, right, context, world)?,
    })
}

fn binary(
    operator: Operator,
    left: &Expr,
    right: &Expr,
    context: Context,
    world: &mut World,
) -> Result<Value, XsltError> {
    let first = evaluate(left, context, world)?;
    match operator {
        Operator::Or if first.boolean() => return Ok(Value::Boolean(true)),
        Operator::And if !first.boolean() => return Ok(Value::Boolean(false)),
        _ => {}
    }
    let second = evaluate(right, context, world)?;
    let tree = &world.tree;
    let numbers = || (first.number(tree), second.number(tree));
    Ok(match operator {
        Operator::Or | Operator::And => Value::Boolean(second.boolean()),
        Operator::Plus => Value::Number(numbers().0 + numbers().1),
        Operator::Minus => Value::Number(numbers().0 - numbers().1),
        Operator::Times => Value::Number(numbers().0 * numbers().1),
        Operator::Divide => Value::Number(numbers().0 / numbers().1),
        Operator::Modulo => Value::Number(numbers().0 % numbers().1),
        Operator::Union => match (first, second) {
            (Value::Nodes(mut all), Value::Nodes(more)) => {
                all.extend(more);
                all.sort_unstable();
                all.dedup();
                Value::Nodes(all)
            }
            _ => {
                return Err(XsltError::Unknown {
                    what: "union of values that are no nodes".to_owned(),
                });
            }
        },
        _ => Value::Boolean(compare(operator, &first, &second, tree)),
    })
}

/// Section 3.4: a comparison with nodes is true if it is for one of them.
fn compare(operator: Operator, first: &Value, second: &Value, tree: &Tree) -> bool {
    let one = |first: &Value, second: &Value| {
        let is_equality = matches!(operator, Operator::Equal | Operator::NotEqual);
        let ordering = match (first, second) {
            (Value::Boolean(_), _) | (_, Value::Boolean(_)) if is_equality => {
                Some(first.boolean().cmp(&second.boolean()))
            }
            (Value::Text(first), Value::Text(second)) if is_equality => Some(first.cmp(second)),
            _ => first.number(tree).partial_cmp(&second.number(tree)),
        };
        match operator {
            Operator::Equal => ordering == Some(Ordering::Equal),
            Operator::NotEqual => ordering != Some(Ordering::Equal),
            Operator::Less => ordering == Some(Ordering::Less),
            Operator::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            Operator::Greater => ordering == Some(Ordering::Greater),
            _ => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        }
    };
    let texts = |nodes: &[NodeId]| {
        nodes
            .iter()
            .map(|node| Value::Text(tree.text(*node)))
            .collect::<Vec<_>>()
    };
    match (first, second) {
        (Value::Nodes(_), Value::Boolean(_)) | (Value::Boolean(_), Value::Nodes(_)) => {
            one(&Value::Boolean(first.boolean()), &Value::Boolean(second.boolean()))
        }
        (Value::Nodes(left), Value::Nodes(right)) => {
            let right = texts(right);
            texts(left)
                .iter()
                .any(|left| right.iter().any(|right| one(left, right)))
        }
        (Value::Nodes(left), right) => texts(left).iter().any(|left| one(left, right)),
        (left, Value::Nodes(right)) => texts(right).iter().any(|right| one(left, right)),
        (left, right) => one(left, right),
    }
}

fn path_nodes(path: &Path, context: Context, world: &mut World) -> Result<Vec<NodeId>, XsltError> {
    let mut nodes = match &path.start {
        Start::Context => vec![context.node],
        Start::Root => vec![root_of(&world.tree, context.node)],
        Start::Filter(expr, predicates) => {
            let value = evaluate(expr, context, world)?;
            let Value::Nodes(nodes) = value else {
                return Err(XsltError::Unknown {
                    what: "steps or predicates behind a value that is no node".to_owned(),
                });
            };
            filter(nodes, predicates, context.current, world)?
        }
    };
    for step in &path.steps {
        let mut found = Vec::new();
        for node in nodes {
            let candidates = axis_nodes(&world.tree, node, step);
            world.burn(candidates.len() + 1)?;
            let candidates = candidates
                .into_iter()
                .filter(|id| passes(&world.tree, *id, step))
                .collect();
            found.extend(filter(candidates, &step.predicates, context.current, world)?);
        }
        found.sort_unstable();
        found.dedup();
        nodes = found;
    }
    Ok(nodes)
}

/// Those that pass all predicates; `nodes` in the order of their axis.
fn filter(
    mut nodes: Vec<NodeId>,
    predicates: &[Expr],
    current: NodeId,
    world: &mut World,
) -> Result<Vec<NodeId>, XsltError> {
    for predicate in predicates {
        let size = nodes.len();
        let mut left = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let context = Context {
                node,
                position: index + 1,
                size,
                current,
            };
            let passed = match evaluate(predicate, context, world)? {
                #[expect(clippy::float_cmp, reason = "positions are whole numbers")]
                Value::Number(number) => number == context.position as f64,
                value => value.boolean(),
            };
            if passed {
                left.push(node);
            }
        }
        nodes = left;
    }
    Ok(nodes)
}

pub(super) fn root_of(tree: &Tree, mut node: NodeId) -> NodeId {
    while let Some(parent) = tree.get(node).parent {
        node = parent;
    }
    node
}

/// Nodes of an axis, nearest first. Where a step wants elements by name, the big axes are not gathered first.
fn axis_nodes(tree: &Tree, node: NodeId, step: &Step) -> Vec<NodeId> {
    let siblings = || {
        let is_attribute = matches!(tree.get(node).kind, Kind::Attribute(..));
        let parent = tree.get(node).parent.filter(|_| !is_attribute);
        parent
            .map(|parent| tree.get(parent).children.as_slice())
            .unwrap_or_default()
    };
    let place = || siblings().iter().position(|id| *id == node).unwrap_or_default();
    match step.axis {
        Axis::Child => tree.get(node).children.clone(),
        Axis::Attribute => tree.get(node).attributes.clone(),
        Axis::Namespace => Vec::new(),
        Axis::This => vec![node],
        Axis::Parent => tree.get(node).parent.into_iter().collect(),
        Axis::Ancestor => ancestors(tree, node),
        Axis::AncestorOrSelf => std::iter::once(node).chain(ancestors(tree, node)).collect(),
        Axis::Descendant => descendants(tree, node),
        Axis::DescendantOrSelf => std::iter::once(node).chain(descendants(tree, node)).collect(),
        Axis::FollowingSibling => siblings().iter().skip(place() + 1).copied().collect(),
        Axis::PrecedingSibling => siblings().iter().take(place()).rev().copied().collect(),
        Axis::Following => {
            let mut found = Vec::new();
            for id in std::iter::once(node).chain(ancestors(tree, node)) {
                let Some(parent) = tree.get(id).parent else { break };
                let children = &tree.get(parent).children;
                let after = children.iter().skip_while(|child| **child != id).skip(1);
                for sibling in after {
                    found.push(*sibling);
                    found.extend(descendants(tree, *sibling));
                }
            }
            found
        }
        Axis::Preceding => {
            let mut found = Vec::new();
            for id in std::iter::once(node).chain(ancestors(tree, node)) {
                let Some(parent) = tree.get(id).parent else { break };
                let before = tree.get(parent).children.iter().take_while(|child| **child != id);
                for sibling in before.collect::<Vec<_>>().into_iter().rev() {
                    found.extend(descendants(tree, *sibling).into_iter().rev());
                    found.push(*sibling);
                }
            }
            found
        }
    }
}

pub(super) fn ancestors(tree: &Tree, node: NodeId) -> Vec<NodeId> {
    std::iter::successors(tree.get(node).parent, |id| tree.get(*id).parent).collect()
}

pub(super) fn descendants(tree: &Tree, node: NodeId) -> Vec<NodeId> {
    let mut found = Vec::new();
    let mut open: Vec<NodeId> = tree.get(node).children.iter().rev().copied().collect();
    while let Some(id) = open.pop() {
        found.push(id);
        open.extend(tree.get(id).children.iter().rev());
    }
    found
}

fn passes(tree: &Tree, id: NodeId, step: &Step) -> bool {
    let name = match (&tree.get(id).kind, step.axis) {
        (Kind::Element(name), axis) if axis != Axis::Attribute => Some(name),
        (Kind::Attribute(name, _), Axis::Attribute) => Some(name),
        _ => None,
    };
    match (&step.test, &tree.get(id).kind) {
        (Test::Node, _) | (Test::Text, Kind::Text(..)) | (Test::Comment, Kind::Comment(_)) => true,
        (Test::Instruction(wanted), Kind::Instruction(target, _)) => wanted.as_ref().is_none_or(|name| name == target),
        (Test::Any, _) => name.is_some(),
        (Test::Namespace(uri), _) => name.is_some_and(|name| name.uri == *uri),
        (Test::Name { uri, local }, _) => name.is_some_and(|name| name.uri == *uri && name.local == *local),
        _ => false,
    }
}

/// Whether a node is one that a pattern means.
pub(super) fn matches(pattern: &Expr, node: NodeId, world: &mut World) -> Result<bool, XsltError> {
    match pattern {
        Expr::Binary(Operator::Union, left, right) => Ok(matches(left, node, world)? || matches(right, node, world)?),
        Expr::Path(path) => matches_path(path, &path.steps, node, world),
        Expr::Call(..) => match evaluate(pattern, Context::of(node), world)? {
            Value::Nodes(nodes) => Ok(nodes.contains(&node)),
            _ => Ok(false),
        },
        _ => Ok(false),
    }
}

fn matches_path(path: &Path, steps: &[Step], node: NodeId, world: &mut World) -> Result<bool, XsltError> {
    world.burn(1)?;
    let Some((last, before)) = steps.split_last() else {
        return match &path.start {
            Start::Root => Ok(tree_root(world, node)),
            Start::Context => Ok(true),
            Start::Filter(expr, _) => matches(expr, node, world),
        };
    };
    if last.axis == Axis::DescendantOrSelf && last.test == Test::Node {
        // `//`: any of the nodes above, this one included
        for above in std::iter::once(node).chain(ancestors(&world.tree, node)) {
            if matches_path(path, before, above, world)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    if !passes(&world.tree, node, last) || matches!(world.tree.get(node).kind, Kind::Root) {
        return Ok(false);
    }
    let Some(parent) = world.tree.get(node).parent else {
        return Ok(false);
    };
    if !last.predicates.is_empty() {
        let candidates = axis_nodes(&world.tree, parent, last);
        let candidates = candidates
            .into_iter()
            .filter(|id| passes(&world.tree, *id, last))
            .collect();
        if !filter(candidates, &last.predicates, node, world)?.contains(&node) {
            return Ok(false);
        }
    } else if (last.axis == Axis::Attribute) != matches!(world.tree.get(node).kind, Kind::Attribute(..)) {
        return Ok(false);
    }
    if before.is_empty() && matches!(path.start, Start::Context) {
        return Ok(true);
    }
    matches_path(path, before, parent, world)
}

fn tree_root(world: &World, node: NodeId) -> bool {
    matches!(world.tree.get(node).kind, Kind::Root)
}

/// What a pattern without explicit priority has (XSLT 1.0, section 5.5).
pub(super) fn priority(pattern: &Expr) -> f64 {
    let Expr::Path(Path {
        start: Start::Context,
        steps,
    }) = pattern
    else {
        return 0.5;
    };
    match steps.as_slice() {
        [Step { test, predicates, .. }] if predicates.is_empty() => match test {
            Test::Name { .. } | Test::Instruction(Some(_)) => 0.0,
            Test::Namespace(_) => -0.25,
            _ => -0.5,
        },
        _ => 0.5,
    }
}
