//! Applications: started, shown, stopped. What their supervisors do meanwhile is in `supervision`.

use std::collections::BTreeMap;
use std::sync::Arc;

use troupe_log::{ActorId, Batch, NodeTime};

use super::core::Core;
use super::{Node, Started, goes_on};
use crate::actor::cell::Status;
use crate::actor::config::Config;
use crate::actor::ending::EndCause;
use crate::error::{Error, Result};
use crate::manifest::application::{Application, Restart};
use crate::manifest::{ActorSpec, Manifest, Strategy};
use crate::service::Party;
use crate::supervision::applications::Starting;
use crate::supervision::machine::{self, Event, Machine, MemberState, Moment, Note, Phase};
use crate::supervision::rows::Start;
use crate::supervision::tree::{Kind, Tree};

/// How an application is, for people and programs.
#[derive(Clone, Debug)]
pub struct ApplicationInfo {
    /// Its name.
    pub name: String,
    /// starting, running, stopping, stopped, failing or failed.
    pub status: &'static str,
    /// Why it fails or has failed.
    pub reason: Option<String>,
    /// Its supervisors and children, in the order of starts; the first is its own supervisor.
    pub members: Vec<MemberInfo>,
    /// What happened last, oldest first.
    pub notes: Vec<Note>,
}

/// How one supervisor or child of an application is.
#[derive(Clone, Debug)]
pub struct MemberInfo {
    /// Its name: an actor's id, or a supervisor's name.
    pub name: String,
    /// How many supervisors stand above it.
    pub depth: usize,
    /// When it is started again.
    pub restart: Restart,
    /// What a supervisor does when a child ends; none for an actor.
    pub strategy: Option<Strategy>,
    /// Of an actor: up, due, stopping or down. Of a supervisor: up, or stopping while it gives up.
    pub phase: &'static str,
    /// When it is started, if it is due.
    pub due: Option<NodeTime>,
    /// Of an actor: how often it was started again. Of a supervisor: how often it did so.
    pub restarts: u64,
    /// Of an actor: how its newest life ended that did. Of a supervisor: why it gives up.
    pub last: Option<(&'static str, String)>,
}

impl Node {
    /// The same node, for those who work in it.
    pub(crate) fn of(core: Arc<Core>) -> Node {
        Node { core, data: None }
    }

    /// Starts what a manifest has: an application under its supervisors, or actors by themselves.
    pub async fn start_manifest(&self, manifest: Manifest, fresh: bool) -> Result<Vec<Started>> {
        if let Some(application) = &manifest.application {
            return self.start_application(application, manifest.actors, fresh).await;
        }
        let mut started = Vec::with_capacity(manifest.actors.len());
        for actor in manifest.actors {
            started.push(self.begin(actor, fresh).await?);
        }
        Ok(started)
    }

    /// Starts an application, or those of its actors that are not there; returns once they are. `actors` are the settings of its actors.
    /// With `fresh`, each begins a new life.
    ///
    /// One that was stopped or has failed begins anew, its restarts forgotten. If one of its actors does not start then, those
    /// before it are stopped, in reverse order, and the application has failed.
    pub async fn start_application(
        &self,
        application: &Application,
        actors: Vec<ActorSpec>,
        fresh: bool,
    ) -> Result<Vec<Started>> {
        let applications = self.core.shared.applications.clone();
        let tree = Tree::of(application);
        let name = application.name.clone();
        let one = applications.one_start(&name);
        let _one = one.lock().await;
        self.fits(&tree)?;
        let mut specs: BTreeMap<ActorId, ActorSpec> = actors.into_iter().map(|spec| (spec.id.clone(), spec)).collect();
        let (mut starts, mut given, mut there) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for (place, id) in tree.actors() {
            let none = || Error::Invalid { what: format!("the application {name} has no settings for {id}") };
            let mut spec = specs.remove(id).ok_or_else(none)?;
            self.name_components(&mut spec).await?;
            let code = self.core.components.resolve(&spec.component).await?;
            let (component, config) = (code.inspection.digest, Config::of(&spec));
            // Looked at before anything is changed.
            let lives = match self.core.cell(id) {
                Some(cell) if !fresh => goes_on(&cell, component, &config)?.is_some(),
                _ => false,
            };
            if lives {
                there.push((place, spec.clone()));
            }
            starts.insert(place, Start { component, initial: spec.init.clone(), config: config.encode() });
            given.insert(place, (spec, fresh));
        }
        let placing = applications.placing.lock().await;
        // Another application may have got one of its actors meanwhile; nothing of an actor changes for one that is refused.
        self.fits(&tree)?;
        let mut started = BTreeMap::new();
        for (place, spec) in &there {
            started.insert(*place, self.begin(spec.clone(), false).await?);
            given.remove(place);
        }
        let there = there.into_iter().map(|(place, _)| place).collect();
        let places: Vec<usize> = tree.actors().map(|(place, _)| place).collect();
        let mut batch = Batch::new();
        let starting = Starting { specs: given, started, failed: None };
        let put = applications.put(&mut batch, tree, starts, starting, (there, fresh), self.moment());
        let gate = self.core.commit(batch, vec![put])?;
        drop(placing);
        gate.open(&*self.core.store).await?;
        self.all_there(&name, &places).await
    }

    /// Waits until an application is there, or is not to be.
    async fn all_there(&self, name: &str, places: &[usize]) -> Result<Vec<Started>> {
        let applications = &self.core.shared.applications;
        loop {
            let changes = applications.changes();
            tokio::pin!(changes);
            changes.as_mut().enable();
            let machine = applications.get(name).ok_or_else(|| no_application(name))?;
            let waits = |place: &usize| matches!(machine.phase(*place), Phase::Due(_) | Phase::Stopping(_));
            let settled = match &machine.state.status {
                machine::Status::Running => true,
                machine::Status::Stopped | machine::Status::Failed(_) => true,
                machine::Status::Starting | machine::Status::Stopping | machine::Status::Failing(_) => false,
            };
            if settled || machine.lives() {
                let over = settled || !matches!(machine.state.status, machine::Status::Starting);
                let failed = applications.awaited(name, |starting| if over { starting.failed.take() } else { None });
                if let Some(error) = failed.flatten() {
                    return Err(error);
                }
                if let machine::Status::Failed(why) = &machine.state.status {
                    return Err(Error::Invalid { what: format!("the application {name} has failed: {why}") });
                }
                if machine.state.status == machine::Status::Stopped {
                    return Err(Error::Invalid { what: format!("the application {name} was stopped") });
                }
                if settled && !places.iter().any(waits) {
                    self.settled().await?;
                    let started = applications.awaited(name, |starting| std::mem::take(&mut starting.started));
                    return Ok(started.into_iter().flat_map(BTreeMap::into_values).collect());
                }
            }
            tokio::select! {
                () = changes => {}
                () = self.core.closed() => {
                    return Err(match self.core.why_halted() {
                        Some(why) => Error::Internal { what: why.to_owned() },
                        None => Error::Closing,
                    });
                }
            }
        }
    }

    /// Whether an application with this tree can be started.
    fn fits(&self, tree: &Tree) -> Result<()> {
        let (applications, name) = (&self.core.shared.applications, tree.name());
        for (_, id) in tree.actors() {
            if let Some((other, _)) = applications.of(id).filter(|(other, _)| other != name) {
                return Err(Error::Invalid {
                    what: format!("{id} is a child of the application {other}; `troupe app remove {other}` lets it go"),
                });
            }
        }
        let Some(there) = applications.get(name) else { return Ok(()) };
        match there.state.status {
            machine::Status::Stopping | machine::Status::Failing(_) => Err(Error::Invalid {
                what: format!("the application {name} is being stopped; start it when `troupe app list` shows its end"),
            }),
            machine::Status::Starting | machine::Status::Running if !there.tree.same_shape(tree) => {
                Err(Error::Invalid {
                    what: format!("the application {name} runs with other children; `troupe app stop {name}` first"),
                })
            }
            _ => Ok(()),
        }
    }

    /// Stops an application: its actors in the reverse order of their starts. Returns once they have ended.
    pub async fn stop_application(&self, name: &str) -> Result<()> {
        let applications = self.core.shared.applications.clone();
        let machine = applications.get(name).ok_or_else(|| no_application(name))?;
        if matches!(machine.state.status, machine::Status::Stopped | machine::Status::Failed(_)) {
            return Err(Error::Invalid { what: format!("the application {name} does not run") });
        }
        self.core.commit(Batch::new(), vec![applications.change(name, Event::Stop, self.moment())])?;
        loop {
            let changes = applications.changes();
            tokio::pin!(changes);
            changes.as_mut().enable();
            let ended = applications.get(name).is_none_or(|machine| {
                matches!(machine.state.status, machine::Status::Stopped | machine::Status::Failed(_))
            });
            if ended {
                return self.settled().await;
            }
            tokio::select! {
                () = changes => {}
                () = self.core.closed() => return Err(Error::Closing),
            }
        }
    }

    /// Forgets an application that is stopped or has failed. Its actors stay as they are, with nobody above them.
    pub async fn remove_application(&self, name: &str) -> Result<()> {
        let applications = self.core.shared.applications.clone();
        let one = applications.one_start(name);
        let _one = one.lock().await;
        let machine = applications.get(name).ok_or_else(|| no_application(name))?;
        if !matches!(machine.state.status, machine::Status::Stopped | machine::Status::Failed(_)) {
            return Err(Error::Invalid {
                what: format!("the application {name} runs; `troupe app stop {name}` first"),
            });
        }
        let mut batch = Batch::new();
        let removing = applications.remove(&mut batch, &machine);
        let gate = self.core.commit(batch, vec![removing])?;
        Ok(gate.open(&*self.core.store).await?)
    }

    /// All applications, by name.
    pub async fn applications(&self) -> Result<Vec<ApplicationInfo>> {
        let all = self.core.shared.applications.list();
        self.settled().await?;
        Ok(all.iter().map(info).collect())
    }

    /// One application.
    pub async fn application(&self, name: &str) -> Result<ApplicationInfo> {
        let machine = self.core.shared.applications.get(name).ok_or_else(|| no_application(name))?;
        self.settled().await?;
        Ok(info(&machine))
    }

    /// What a start would say of an actor that is there.
    pub(crate) fn there(&self, id: &ActorId) -> Result<Started> {
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        let incarnation = cell.life.lock().about.incarnation;
        Ok(Started { id: id.clone(), incarnation, resumed: true, changed: Vec::new() })
    }

    /// Somebody has started an actor: its supervisor, if it had given it up, has it again.
    pub(super) fn adopted(&self, id: &ActorId) -> Result<()> {
        let applications = &self.core.shared.applications;
        let Some((name, place)) = applications.of(id) else { return Ok(()) };
        if applications.get(&name).is_some_and(|machine| machine.lives() && machine.phase(place) == Phase::Down) {
            let change = applications.change(&name, Event::Adopted { place }, self.moment());
            self.core.commit(Batch::new(), vec![change])?;
        }
        Ok(())
    }

    /// Takes up what the rows say, behind the actors.
    pub(super) fn take_up_applications(&self) -> Result<()> {
        let is_there = |id: &ActorId| {
            self.core.cell(id).is_some_and(|cell| !matches!(cell.life.lock().status, Status::Stopped(_)))
        };
        let taken = self.core.shared.applications.take_up(is_there, self.core.clock.now());
        taken.map_err(|what| Error::Internal { what })
    }

    fn moment(&self) -> Moment {
        Moment { now: self.core.clock.now(), wall: self.core.clock.wall() }
    }
}

fn no_application(name: &str) -> Error {
    Error::NoApplication { name: name.to_owned() }
}

fn info(machine: &Machine) -> ApplicationInfo {
    let (status, reason) = match &machine.state.status {
        machine::Status::Starting => ("starting", None),
        machine::Status::Running => ("running", None),
        machine::Status::Stopping => ("stopping", None),
        machine::Status::Stopped => ("stopped", None),
        machine::Status::Failing(why) => ("failing", Some(why.clone())),
        machine::Status::Failed(why) => ("failed", Some(why.clone())),
    };
    let members = machine.tree.members.iter().enumerate().map(|(place, member)| {
        let mut info = MemberInfo {
            name: machine.tree.name_of(place).to_owned(),
            depth: machine.tree.depth(place),
            restart: member.restart,
            strategy: match &member.kind {
                Kind::Supervisor(_, policy) => Some(policy.strategy),
                Kind::Actor(..) => None,
            },
            phase: "up",
            due: None,
            restarts: 0,
            last: None,
        };
        match &machine.state.members[place] {
            MemberState::Supervisor(own) => {
                info.phase = if own.gives_up.is_some() { "stopping" } else { "up" };
                info.restarts = own.restarts;
                info.last = own.gives_up.clone().map(|why| (EndCause::Fault.name(), why));
            }
            MemberState::Actor(actor) => {
                (info.phase, info.due) = match actor.phase {
                    Phase::Up => ("up", None),
                    Phase::Due(at) => ("due", Some(at)),
                    Phase::Stopping(_) => ("stopping", None),
                    Phase::Down => ("down", None),
                };
                info.restarts = actor.restarts;
                info.last = actor.last.clone().map(|(cause, why)| (cause.name(), why));
            }
        }
        info
    });
    ApplicationInfo {
        name: machine.tree.name().to_owned(),
        status,
        reason,
        members: members.collect(),
        notes: machine.state.notes.iter().cloned().collect(),
    }
}
