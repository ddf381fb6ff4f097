//! The tree of an application, flat: every supervisor and child by its place in the order of starts.

use std::time::Duration;

use troupe_log::ActorId;

use crate::manifest::application::{Application, Child, Policy, Restart, Supervised};

/// A place in the tree: 0 is the application itself, a supervisor stands before its children.
pub type Place = usize;

/// An application's supervisors and children, in the order of starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Never empty; the first is the application's own supervisor.
    pub members: Vec<Member>,
}

/// One supervisor or child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its supervisor; its own place for the topmost.
    pub parent: Place,
    /// The place behind the last one below it.
    pub end: Place,
    /// When it is started again.
    pub restart: Restart,
    /// What it is.
    pub kind: Kind,
}

/// What stands in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An actor, and the time that its turn has to end when it is stopped.
    Actor(ActorId, Duration),
    /// A supervisor.
    Supervisor(String, Policy),
}

impl Tree {
    /// Of an application.
    pub fn of(application: &Application) -> Tree {
        let kind = Kind::Supervisor(application.name.clone(), application.policy.clone());
        let top = Member { parent: 0, end: 1, restart: Restart::Permanent, kind };
        let mut tree = Tree { members: vec![top] };
        tree.add(0, &application.children);
        tree
    }

    fn add(&mut self, parent: Place, children: &[Child]) {
        for child in children {
            let at = self.members.len();
            let (kind, below): (Kind, &[Child]) = match &child.what {
                Supervised::Actor { id, shutdown } => (Kind::Actor(id.clone(), *shutdown), &[]),
                Supervised::Supervisor { name, policy, children } => {
                    (Kind::Supervisor(name.clone(), policy.clone()), children)
                }
            };
            self.members.push(Member { parent, end: at + 1, restart: child.restart, kind });
            self.add(at, below);
        }
        self.members[parent].end = self.members.len();
    }

    /// The application's name.
    pub fn name(&self) -> &str {
        self.name_of(0)
    }

    /// The name of a member: an actor's id, a supervisor's name.
    pub fn name_of(&self, place: Place) -> &str {
        match &self.members[place].kind {
            Kind::Actor(id, _) => id.as_str(),
            Kind::Supervisor(name, _) => name,
        }
    }

    /// All actors, in the order of starts.
    pub fn actors(&self) -> impl Iterator<Item = (Place, &ActorId)> {
        self.members.iter().enumerate().filter_map(|(place, member)| match &member.kind {
            Kind::Actor(id, _) => Some((place, id)),
            Kind::Supervisor(..) => None,
        })
    }

    /// The actor in a place; none for a supervisor.
    pub fn actor(&self, place: Place) -> Option<&ActorId> {
        match &self.members.get(place)?.kind {
            Kind::Actor(id, _) => Some(id),
            Kind::Supervisor(..) => None,
        }
    }

    /// The direct children of a supervisor.
    pub fn children(&self, of: Place) -> impl Iterator<Item = Place> {
        let end = self.members[of].end;
        // The first lies right behind it, each other one behind all below the one before.
        std::iter::successors(Some(of + 1), |at| self.members.get(*at).map(|member| member.end))
            .take_while(move |at| *at < end)
    }

    /// How many supervisors stand above a member.
    pub fn depth(&self, mut place: Place) -> usize {
        let mut depth = 0;
        while place != 0 {
            place = self.members[place].parent;
            depth += 1;
        }
        depth
    }

    /// Names of the supervisors above a member, from the application down.
    pub fn path(&self, place: Place) -> String {
        let mut names = Vec::new();
        let mut at = place;
        while at != 0 {
            at = self.members[at].parent;
            names.push(self.name_of(at));
        }
        names.reverse();
        names.join("/")
    }

    /// Whether the same actors stand under the same supervisors, whatever these do.
    pub fn same_shape(&self, other: &Tree) -> bool {
        let shape = |tree: &Tree| -> Vec<_> {
            (0..tree.members.len()).map(|at| (tree.members[at].parent, tree.name_of(at).to_owned())).collect()
        };
        shape(self) == shape(other)
    }
}
