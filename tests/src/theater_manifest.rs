//! What a `manifest.toml` of Theater does for components of any contract: `new_dir` of the handler `filesystem`.

use troupe_log::SimDisk;
use troupe_runtime::manifest::{ActorSpec, Manifest};
use troupe_runtime::node::{Node, NodeOptions};

use crate::support::{ask, guest, id, node_on, options, power_cut, replay};

fn probe(name: &str) -> ActorSpec {
    let handler = "[[handler]]\ntype = \"filesystem\"\nnew_dir = true\n";
    let text = format!("name = {name:?}\ncomponent = {:?}\n{handler}", guest("probe"));
    Manifest::parse(&text, "manifest.toml", None).unwrap().actors.remove(0)
}

async fn list(node: &Node, actor: &str) -> String {
    ask(node, actor, "types#descriptor.read-directory", "").await.unwrap()
}

/// "Such a folder lies in the node's data folder, is the actor's alone, and is empty when a life begins […]; it stays through crashes."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_directory_is_the_actors_own_and_empty_when_a_life_begins() {
    let data = tempfile::tempdir().unwrap();
    let disk = SimDisk::new();
    let open = async |disk: &SimDisk| {
        crate::coverage::opens(disk);
        Node::open(NodeOptions { data: Some(data.path().to_owned()), ..options(disk) }).await.unwrap()
    };
    let folder = data.path().canonicalize().unwrap().join("folders/default+probe+0");
    std::fs::create_dir_all(folder.join("left/behind")).unwrap();
    let node = open(&disk).await;
    node.start(probe("probe")).await.unwrap();
    assert_eq!(list(&node, "probe").await, "", "it is new");
    assert_eq!(ask(&node, "probe", "types#descriptor.create-directory-at", "sub").await.unwrap(), "done");
    assert!(folder.join("sub").is_dir());
    node.start(probe("other")).await.unwrap();
    assert_eq!(list(&node, "other").await, "", "another has another");
    node.sync().await.unwrap();

    let node = open(&power_cut(node, &disk)).await;
    let started = node.start(probe("probe")).await.unwrap();
    assert!(started.resumed && started.changed.is_empty(), "{started:?}");
    assert_eq!(list(&node, "probe").await, "sub", "it stays");
    replay(&node, "probe", "probe").await.unwrap();
    node.start_fresh(probe("probe")).await.unwrap();
    assert_eq!(list(&node, "probe").await, "", "another life has a new one");
    std::fs::remove_dir_all(&folder).unwrap();
    replay(&node, "probe", "probe").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_directory_needs_a_node_with_a_data_folder() {
    let node = node_on(&SimDisk::new()).await;
    let error = node.start(probe("probe")).await.unwrap_err().to_string();
    assert!(error.contains("needs a node with a data folder"), "{error}");
    assert!(node.actor(&id("probe")).await.is_err());
    node.close().await.unwrap();
}
