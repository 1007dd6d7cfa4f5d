//! Conditions of rate tables: which variables there are, and that an expression reads only those.

use std::sync::Arc;

use rust_decimal::Decimal;
use zen_expression::compiler::Opcode;
use zen_expression::vm::VM;
use zen_expression::{Scope, Variable};

use crate::expression;

/// What a condition can ask about a transaction, apart from `attributes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Var {
    Kind = 1,
    Product = 1 << 1,
    Category = 1 << 2,
    Channel = 1 << 3,
    Region = 1 << 4,
    Segment = 1 << 5,
    Tags = 1 << 6,
    LocalHour = 1 << 7,
    LocalWeekday = 1 << 8,
    /// The code of the contract's promotion that is on.
    Promotion = 1 << 9,
}

impl Var {
    pub const ALL: [Self; 10] = [
        Self::Kind,
        Self::Product,
        Self::Category,
        Self::Channel,
        Self::Region,
        Self::Segment,
        Self::Tags,
        Self::LocalHour,
        Self::LocalWeekday,
        Self::Promotion,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Product => "product",
            Self::Category => "category",
            Self::Channel => "channel",
            Self::Region => "region",
            Self::Segment => "segment",
            Self::Tags => "tags",
            Self::LocalHour => "localHour",
            Self::LocalWeekday => "localWeekday",
            Self::Promotion => "promotion",
        }
    }
}

/// Attributes are read by name, so that what decides a transaction's rate class is known and small.
pub(super) const ATTRIBUTES: &str = "attributes";

/// A set of variables, and the attributes by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    vars: u16,
    /// Sorted.
    pub attributes: Vec<Arc<str>>,
}

impl Needs {
    pub fn add(&mut self, var: Var) {
        self.vars |= var as u16;
    }

    pub fn add_attribute(&mut self, name: &Arc<str>) {
        if let Err(position) = self.attributes.binary_search(name) {
            self.attributes.insert(position, Arc::clone(name));
        }
    }

    pub const fn has(&self, var: Var) -> bool {
        self.vars & var as u16 != 0
    }

    pub fn merge(&mut self, other: &Self) {
        self.vars |= other.vars;
        for name in &other.attributes {
            self.add_attribute(name);
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Condition {
    bytecode: Arc<[Opcode]>,
    pub needs: Needs,
}

/// Compiles the condition of a row, or says what is wrong with it.
pub(super) fn compile(source: &str) -> Result<Condition, String> {
    let compiled = expression::compile(source)?;
    if compiled.dates {
        return Err("dates cannot be used here; ask for localHour and localWeekday".to_owned());
    }
    let mut needs = Needs::default();
    for read in &compiled.reads {
        if &*read.root == ATTRIBUTES {
            let Some(name) = &read.field else {
                return Err("attributes are read by name: attributes.shop".to_owned());
            };
            needs.merge(&Needs { vars: 0, attributes: vec![Arc::clone(name)] });
        } else if let Some(var) = Var::ALL.into_iter().find(|var| var.name() == &*read.root) {
            needs.add(var);
        } else {
            let known: Vec<&str> = Var::ALL.iter().map(|var| var.name()).chain([ATTRIBUTES]).collect();
            return Err(format!("there is no '{}' here; conditions read {}", read.root, known.join(", ")));
        }
    }
    if compiled.reads.is_empty() {
        return Err("it reads nothing of the transaction, so it would always or never hold".to_owned());
    }
    let condition = Condition { bytecode: compiled.bytecode, needs };
    match condition.run(&sample(&condition.needs), &mut VM::new()) {
        Ok(Variable::Bool(_) | Variable::Null) | Err(_) => Ok(condition),
        Ok(other) => Err(format!("it gives a {} and not true or false", other.type_name())),
    }
}

impl Condition {
    /// Whether the condition holds; anything but true or false is an error.
    pub fn holds(&self, scope: &Scope, vm: &mut VM) -> Result<bool, String> {
        match self.run(scope, vm)? {
            Variable::Bool(holds) => Ok(holds),
            Variable::Null => Err("it gives nothing, neither true nor false".to_owned()),
            other => Err(format!("it gives a {} and not true or false", other.type_name())),
        }
    }

    /// The same condition, but failing where it divides by zero: there a number becomes nothing, and a comparison with
    /// nothing may well say no. `None` where it divides by nothing at all.
    pub fn strict(&self) -> Option<Self> {
        let divides = |opcode: &Opcode| matches!(opcode, Opcode::Divide | Opcode::Modulo);
        // After each division nought is added, which nothing else than a number takes.
        let mut places = Vec::with_capacity(self.bytecode.len() + 1);
        let mut length = 0_u32;
        for opcode in self.bytecode.iter() {
            places.push(length);
            length += if divides(opcode) { 3 } else { 1 };
        }
        places.push(length);
        let mut bytecode = Vec::with_capacity(places.len());
        for (position, opcode) in self.bytecode.iter().enumerate() {
            match opcode {
                // Only loops jump back, and there are none.
                Opcode::Jump(kind, steps) => {
                    let target = usize::try_from(*steps).ok().and_then(|steps| places.get(position + 1 + steps));
                    bytecode.push(Opcode::Jump(*kind, target?.checked_sub(places[position] + 1)?));
                }
                other => bytecode.push(other.clone()),
            }
            if divides(opcode) {
                bytecode.extend([Opcode::PushNumber(Decimal::ZERO), Opcode::Add]);
            }
        }
        let differs = bytecode.len() > self.bytecode.len();
        differs.then(|| Self { bytecode: bytecode.into(), needs: self.needs.clone() })
    }

    fn run(&self, scope: &Scope, vm: &mut VM) -> Result<Variable, String> {
        vm.run(&self.bytecode, scope).map_err(|error| error.to_string())
    }
}

/// Values of the right types, to see what type comes out.
fn sample(needs: &Needs) -> Scope {
    let mut scope = Scope::default();
    for var in Var::ALL {
        let value = match var {
            Var::Tags => Variable::from_array(vec![Variable::String("1".into())]),
            Var::LocalHour => Variable::Number(Decimal::ONE),
            _ => Variable::String("1".into()),
        };
        scope.set_local(var.name().into(), value);
    }
    let attributes = Variable::empty_object();
    if let Variable::Object(object) = &attributes {
        for name in &needs.attributes {
            object.borrow_mut().insert(Variable::key(name), Variable::String("1".into()));
        }
    }
    scope.set_local(ATTRIBUTES.into(), attributes);
    scope
}
