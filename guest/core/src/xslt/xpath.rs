//! XPath 1.0 expressions: the grammar (sections 2 and 3) read into a tree. Prefixes are resolved here.

use std::rc::Rc;

use super::XsltError;

/// An expression.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    Binary(Operator, Box<Self>, Box<Self>),
    Negated(Box<Self>),
    Literal(String),
    Number(f64),
    Variable(String),
    Call(String, Vec<Self>),
    Path(Path),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
    Union,
}

/// A location path, or a filter expression with steps behind it.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) start: Start,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) enum Start {
    Context,
    Root,
    /// an expression with predicates
    Filter(Box<Expr>, Vec<Expr>),
}

#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) axis: Axis,
    pub(super) test: Test,
    pub(super) predicates: Vec<Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Child,
    Descendant,
    Parent,
    Ancestor,
    FollowingSibling,
    PrecedingSibling,
    Following,
    Preceding,
    Attribute,
    Namespace,
    This,
    DescendantOrSelf,
    AncestorOrSelf,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// any element (or attribute, on that axis)
    Any,
    /// any in a namespace
    Namespace(Rc<str>),
    Name {
        uri: Rc<str>,
        local: Rc<str>,
    },
    Node,
    Text,
    Comment,
    Instruction(Option<String>),
}

/// Namespaces of the place where an expression stands.
pub(super) type Resolver<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Expressions inside each other.
const MAX_DEPTH: usize = 64;

pub(super) fn parse(text: &str, resolve: Resolver<'_>) -> Result<Expr, XsltError> {
    let wrong = |reason: &str| XsltError::Expression {
        expression: text.to_owned(),
        reason: reason.to_owned(),
    };
    let tokens = tokens(text).map_err(|reason| wrong(&reason))?;
    let mut parser = Parser {
        tokens,
        position: 0,
        depth: 0,
        resolve,
    };
    let expr = parser.expr(0).map_err(|reason| wrong(&reason))?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) => Err(wrong(&format!("unexpected `{token:?}`"))),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Symbol(&'static str),
    Name(String),
    /// `prefix:*`
    Prefixed(String),
    Literal(String),
    Number(f64),
    Variable(String),
}

const SYMBOLS: [&str; 22] = [
    "::", "//", "..", "!=", "<=", ">=", "(", ")", "[", "]", "@", ",", "/", "|", "+", "-", "=", "<", ">", "*", ".", ":",
];

fn name_length(text: &str) -> usize {
    let mut chars = text.char_indices();
    match chars.next() {
        Some((_, first)) if first.is_alphabetic() || first == '_' => {}
        _ => return 0,
    }
    chars
        .find(|(_, char)| !(char.is_alphanumeric() || matches!(char, '_' | '-' | '.')))
        .map_or(text.len(), |(position, _)| position)
}

/// A name with its prefix, and whether it is `prefix:*`.
fn qname(text: &str) -> Option<(String, bool, &str)> {
    let (first, rest) = text.split_at(name_length(text));
    if first.is_empty() {
        return None;
    }
    if let Some(after) = rest.strip_prefix(':').filter(|after| !after.starts_with(':')) {
        if let Some(after) = after.strip_prefix('*') {
            return Some((first.to_owned(), true, after));
        }
        let (local, tail) = after.split_at(name_length(after));
        if !local.is_empty() {
            return Some((format!("{first}:{local}"), false, tail));
        }
    }
    Some((first.to_owned(), false, rest))
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found: Vec<Token> = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_digit =
            first.is_ascii_digit() || first == '.' && rest.chars().nth(1).is_some_and(|second| second.is_ascii_digit());
        if is_digit {
            let mut dots = 0;
            let end = rest
                .find(|c: char| {
                    dots += usize::from(c == '.');
                    !(c.is_ascii_digit() || c == '.' && dots == 1)
                })
                .unwrap_or(rest.len());
            let (number, tail) = rest.split_at(end);
            found.push(Token::Number(
                number.parse().map_err(|_error| format!("`{number}` is no number"))?,
            ));
            rest = tail;
        } else if matches!(first, '"' | '\'') {
            let inner = rest.strip_prefix(first).unwrap_or_default();
            let (literal, tail) = inner.split_once(first).ok_or("a text is not closed")?;
            found.push(Token::Literal(literal.to_owned()));
            rest = tail;
        } else if let Some(after) = rest.strip_prefix('$') {
            let (name, _, tail) = qname(after).ok_or("a variable has no name")?;
            found.push(Token::Variable(name));
            rest = tail;
        } else if let Some((name, is_any, tail)) = qname(rest) {
            found.push(if is_any {
                Token::Prefixed(name)
            } else {
                Token::Name(name)
            });
            rest = tail;
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            found.push(Token::Symbol(symbol));
            rest = rest.strip_prefix(*symbol).unwrap_or_default();
        } else {
            return Err(format!("unexpected `{first}`"));
        }
        rest = rest.trim_start();
    }
    Ok(found)
}

struct Parser<'r> {
    tokens: Vec<Token>,
    position: usize,
    depth: usize,
    resolve: Resolver<'r>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token::Symbol(known)) if *known == symbol)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), String> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(format!("expected `{symbol}`"))
        }
    }

    /// The operator that stands here, with how strongly it binds.
    fn operator(&self) -> Option<(Operator, u8)> {
        Some(match self.peek()? {
            Token::Name(name) => match name.as_str() {
                "or" => (Operator::Or, 1),
                "and" => (Operator::And, 2),
                "div" => (Operator::Divide, 6),
                "mod" => (Operator::Modulo, 6),
                _ => return None,
            },
            Token::Symbol(symbol) => match *symbol {
                "=" => (Operator::Equal, 3),
                "!=" => (Operator::NotEqual, 3),
                "<" => (Operator::Less, 4),
                "<=" => (Operator::LessOrEqual, 4),
                ">" => (Operator::Greater, 4),
                ">=" => (Operator::GreaterOrEqual, 4),
                "+" => (Operator::Plus, 5),
                "-" => (Operator::Minus, 5),
                "*" => (Operator::Times, 6),
                "|" => (Operator::Union, 8),
                _ => return None,
            },
            _ => return None,
        })
    }

    fn expr(&mut self, binding: u8) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("too many expressions inside each other".to_owned());
        }
        let mut left = if self.take("-") {
            Expr::Negated(Box::new(self.expr(7)?))
        } else {
            self.path()?
        };
        while let Some((operator, strength)) = self.operator().filter(|(_, strength)| *strength > binding) {
            self.position += 1;
            let right = self.expr(strength)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn path(&mut self) -> Result<Expr, String> {
        let start = match self.peek() {
            Some(Token::Literal(text)) => Some(Expr::Literal(text.clone())),
            Some(Token::Number(number)) => Some(Expr::Number(*number)),
            Some(Token::Variable(name)) => Some(Expr::Variable(name.clone())),
            _ => None,
        };
        let start = if let Some(start) = start {
            self.position += 1;
            Some(start)
        } else if self.take("(") {
            let inner = self.expr(0)?;
            self.expect(")")?;
            Some(inner)
        } else {
            self.call()?
        };
        if let Some(start) = start {
            let predicates = self.predicates()?;
            let mut steps = Vec::new();
            if self.is("/") || self.is("//") {
                self.steps(&mut steps)?;
            } else if predicates.is_empty() {
                return Ok(start);
            }
            return Ok(Expr::Path(Path {
                start: Start::Filter(Box::new(start), predicates),
                steps,
            }));
        }
        let mut steps = Vec::new();
        if self.is("//") {
            self.steps(&mut steps)?;
            return Ok(Expr::Path(Path {
                start: Start::Root,
                steps,
            }));
        }
        if self.take("/") {
            if self.begins_step() {
                steps.push(self.step()?);
                self.steps(&mut steps)?;
            }
            return Ok(Expr::Path(Path {
                start: Start::Root,
                steps,
            }));
        }
        steps.push(self.step()?);
        self.steps(&mut steps)?;
        Ok(Expr::Path(Path {
            start: Start::Context,
            steps,
        }))
    }

    /// A function call, if one begins here (node tests look like one).
    fn call(&mut self) -> Result<Option<Expr>, String> {
        let Some(Token::Name(name)) = self.peek() else {
            return Ok(None);
        };
        let name = name.clone();
        let is_test = matches!(name.as_str(), "node" | "text" | "comment" | "processing-instruction");
        if is_test || self.tokens.get(self.position + 1) != Some(&Token::Symbol("(")) {
            return Ok(None);
        }
        self.position += 2;
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.expr(0)?);
                if self.take(")") {
                    break;
                }
                self.expect(",")?;
            }
        }
        super::functions::check(&name, arguments.len())?;
        Ok(Some(Expr::Call(name, arguments)))
    }

    /// `/step` and `//step`, as many as there are.
    fn steps(&mut self, steps: &mut Vec<Step>) -> Result<(), String> {
        loop {
            if self.take("//") {
                steps.push(Step {
                    axis: Axis::DescendantOrSelf,
                    test: Test::Node,
                    predicates: Vec::new(),
                });
            } else if !self.take("/") {
                return Ok(());
            }
            steps.push(self.step()?);
        }
    }

    fn begins_step(&self) -> bool {
        matches!(
            self.peek(),
            Some(Token::Name(_) | Token::Prefixed(_) | Token::Symbol("." | ".." | "@" | "*"))
        )
    }

    fn step(&mut self) -> Result<Step, String> {
        for (symbol, axis) in [(".", Axis::This), ("..", Axis::Parent)] {
            if self.take(symbol) {
                return Ok(Step {
                    axis,
                    test: Test::Node,
                    predicates: Vec::new(),
                });
            }
        }
        let mut axis = Axis::Child;
        if self.take("@") {
            axis = Axis::Attribute;
        } else if let Some(Token::Name(name)) = self.peek()
            && self.tokens.get(self.position + 1) == Some(&Token::Symbol("::"))
        {
            axis = axis_of(name).ok_or_else(|| format!("unknown axis `{name}`"))?;
            self.position += 2;
        }
        let test = self.test()?;
        let predicates = self.predicates()?;
        Ok(Step { axis, test, predicates })
    }

    fn test(&mut self) -> Result<Test, String> {
        let token = self.peek().cloned().ok_or("the expression ends too early")?;
        self.position += 1;
        let uri = |prefix: &str| (self.resolve)(prefix).ok_or_else(|| format!("no namespace for `{prefix}`"));
        Ok(match token {
            Token::Symbol("*") => Test::Any,
            Token::Prefixed(prefix) => Test::Namespace(uri(&prefix)?.into()),
            Token::Name(name) if self.is("(") => {
                self.position += 1;
                let test = match name.as_str() {
                    "node" => Test::Node,
                    "text" => Test::Text,
                    "comment" => Test::Comment,
                    "processing-instruction" => Test::Instruction(match self.peek() {
                        Some(Token::Literal(target)) => {
                            let target = target.clone();
                            self.position += 1;
                            Some(target)
                        }
                        _ => None,
                    }),
                    other => return Err(format!("unknown test `{other}()`")),
                };
                self.expect(")")?;
                test
            }
            Token::Name(name) => match name.split_once(':') {
                Some((prefix, local)) => Test::Name {
                    uri: uri(prefix)?.into(),
                    local: local.into(),
                },
                None => Test::Name {
                    uri: "".into(),
                    local: name.into(),
                },
            },
            other => return Err(format!("unexpected `{other:?}`")),
        })
    }

    fn predicates(&mut self) -> Result<Vec<Expr>, String> {
        let mut predicates = Vec::new();
        while self.take("[") {
            predicates.push(self.expr(0)?);
            self.expect("]")?;
        }
        Ok(predicates)
    }
}

fn axis_of(name: &str) -> Option<Axis> {
    Some(match name {
        "child" => Axis::Child,
        "descendant" => Axis::Descendant,
        "parent" => Axis::Parent,
        "ancestor" => Axis::Ancestor,
        "following-sibling" => Axis::FollowingSibling,
        "preceding-sibling" => Axis::PrecedingSibling,
        "following" => Axis::Following,
        "preceding" => Axis::Preceding,
        "attribute" => Axis::Attribute,
        "namespace" => Axis::Namespace,
        "self" => Axis::This,
        "descendant-or-self" => Axis::DescendantOrSelf,
        "ancestor-or-self" => Axis::AncestorOrSelf,
        _ => return None,
    })
}
