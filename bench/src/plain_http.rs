//! The engine alone behind HTTP: the same component under wasmtime-wasi-http, as `wasmtime serve` runs it: hyper in front, an
//! instance for each request, and nothing else: no route, no message, no limits, no recorder.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use troupe_runtime::component::{Engines, Settings};
use wasmtime::Store;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

/// A server, which ends with this.
pub struct PlainHttp {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoRequests,
    table: ResourceTable,
}

/// The component is only asked and asks nobody.
struct NoRequests;

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for NoRequests {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

impl PlainHttp {
    /// Serves this component on any free port.
    pub async fn start(component: &[u8]) -> anyhow::Result<PlainHttp> {
        let engine = Engines::new(Settings::default())?.run;
        let component = Component::new(&engine, component).map_err(plain)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(plain)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(plain)?;
        let pre = linker.instantiate_pre(&component).and_then(ProxyPre::new).map_err(plain)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let pre = Arc::new(pre);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let _ = client.set_nodelay(true);
                let pre = pre.clone();
                let service = service_fn(move |request| {
                    let pre = pre.clone();
                    async move { answer(&pre, request).await }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(client), service));
            }
        });
        Ok(PlainHttp { address, task })
    }
}

impl Drop for PlainHttp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(pre: &ProxyPre<State>, request: Request<Incoming>) -> anyhow::Result<Response<HyperOutgoingBody>> {
    let state = State {
        wasi: WasiCtx::builder().build(),
        http: WasiHttpCtx::new(),
        hooks: NoRequests,
        table: ResourceTable::new(),
    };
    let mut store = Store::new(pre.engine(), state);
    store.epoch_deadline_async_yield_and_update(1);
    store.set_epoch_deadline(1);
    store.set_fuel(u64::MAX / 4).map_err(plain)?;
    let (sender, answered) = tokio::sync::oneshot::channel();
    let request = store.data_mut().http().new_incoming_request(Scheme::Http, request).map_err(plain)?;
    let outparam = store.data_mut().http().new_response_outparam(sender).map_err(plain)?;
    let pre = pre.clone();
    let handled = tokio::spawn(async move {
        let proxy = pre.instantiate_async(&mut store).await?;
        proxy.wasi_http_incoming_handler().call_handle(store, request, outparam).await
    });
    match answered.await {
        Ok(response) => response.map_err(|error| anyhow!("{error:?}")),
        Err(_) => {
            handled.await?.map_err(plain)?;
            None.context("the handler gave no response")
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// The engine's errors are a type of their own.
fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}
