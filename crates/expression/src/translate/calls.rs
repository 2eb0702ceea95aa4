//! Calls of functions.

use super::operands::Together;
use super::words::{arguments, text_of};
use super::{Kind, Refused, Translator};
use crate::node::{FUNCTIONS, Function, Node, Operator, Reading};
use homebench_diagnostic::nearest;
use sqlparser::ast::Expr;

impl Translator<'_> {
    pub(super) fn call(
        &mut self,
        at: &Expr,
        call: &sqlparser::ast::Function,
        wanted: Kind,
    ) -> Result<Node, Refused> {
        let name = call.name.to_string().to_lowercase();
        let Some((_, function, least, most)) = FUNCTIONS.iter().find(|(known, ..)| *known == name)
        else {
            let known: Vec<&str> = FUNCTIONS.iter().map(|(known, ..)| *known).collect();
            let refused = self.refuse(
                at,
                format!(
                    "there is no function `{name}`; there are {}, cast, extract",
                    known.join(", ")
                ),
            );
            return Err(match nearest(&name, known) {
                Some(near) => refused.hint(format!("did you mean `{near}`?")),
                None => refused,
            });
        };
        let is_plain = call.over.is_none() && call.filter.is_none() && call.within_group.is_empty();
        let given = arguments(&call.args);
        if !is_plain || given.len() < *least || given.len() > *most {
            let expected = match (*least, *most) {
                (1, usize::MAX) => "one value or more".to_owned(),
                (1, 1) => "one value".to_owned(),
                (least, most) if least == most => format!("{least} values"),
                (least, most) => format!("{least} to {most} values"),
            };
            return Err(self.refuse(
                at,
                format!("`{name}` takes {expected}, found {}", given.len()),
            ));
        }
        let how = match function {
            Function::Coalesce => Some(Together::Choice),
            Function::Greatest | Function::Least => Some(Together::Extreme),
            Function::NullIf => return self.null_if(at, (given[0], given[1]), wanted),
            _ => None,
        };
        let mut nodes = Vec::with_capacity(given.len());
        if let Some(how) = how {
            let operands = self.operands(at, how, &given, wanted)?;
            for part in given {
                nodes.push(self.operand(part, &operands)?);
            }
            return Ok(Node::Call {
                function: *function,
                arguments: nodes,
            });
        }
        for (index, part) in given.iter().enumerate() {
            let of_part = match function {
                Function::Abs
                | Function::Floor
                | Function::Ceil
                | Function::Sqrt
                | Function::Round => Some(Reading::Number),
                Function::Substring if index > 0 => Some(Reading::Number),
                Function::DateTrunc | Function::Extract if index == 0 => {
                    let word = match part {
                        Expr::Identifier(name) => Some(name.value.as_str()),
                        other => text_of(other),
                    };
                    let word = word.ok_or_else(|| {
                        self.refuse(part, "expected a part of a time in quotes, such as 'day'")
                    })?;
                    nodes.push(Node::Text(self.time_part(part, word)?));
                    continue;
                }
                Function::DateTrunc | Function::Extract => Some(Reading::Time),
                _ => Some(Reading::Text),
            };
            nodes.push(self.any(part, of_part)?);
        }
        Ok(Node::Call {
            function: *function,
            arguments: nodes,
        })
    }

    /// The first value where it isn't equal to the second: what is compared is as in a comparison, and what is kept is kept as it is.
    fn null_if(
        &mut self,
        at: &Expr,
        (value, other): (&Expr, &Expr),
        wanted: Kind,
    ) -> Result<Node, Refused> {
        let is_equal = self.compare(at, value, Operator::Equal, other)?;
        let kept = self.operands(at, Together::Choice, &[value], wanted)?;
        Ok(Node::Case {
            branches: vec![(is_equal, Node::Null)],
            otherwise: Some(Box::new(self.operand(value, &kept)?)),
        })
    }

    pub(super) fn time_part(&self, at: &Expr, word: &str) -> Result<String, Refused> {
        let word = word.to_lowercase();
        let known = crate::functions::TIME_PARTS;
        if known.contains(&word.as_str()) {
            return Ok(word);
        }
        let message = format!(
            "`{word}` is no part of a time; there are {}",
            known.join(", ")
        );
        Err(self.refuse(at, message))
    }
}
