//! The variants and records of `wasi:http/types`, as data. The derives make them cross the boundary.

use std::fmt;

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::{recordable_enum, recordable_record, recordable_variant};

/// `variant method`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
#[allow(missing_docs)]
pub enum Method {
    #[component(name = "get")]
    Get,
    #[component(name = "head")]
    Head,
    #[component(name = "post")]
    Post,
    #[component(name = "put")]
    Put,
    #[component(name = "delete")]
    Delete,
    #[component(name = "connect")]
    Connect,
    #[component(name = "options")]
    Options,
    #[component(name = "trace")]
    Trace,
    #[component(name = "patch")]
    Patch,
    #[component(name = "other")]
    Other(String),
}
recordable_variant!(Method { Get, Head, Post, Put, Delete, Connect, Options, Trace, Patch, Other(name) });

impl Method {
    const NAMED: [(Method, &'static str); 9] = [
        (Method::Get, "GET"),
        (Method::Head, "HEAD"),
        (Method::Post, "POST"),
        (Method::Put, "PUT"),
        (Method::Delete, "DELETE"),
        (Method::Connect, "CONNECT"),
        (Method::Options, "OPTIONS"),
        (Method::Trace, "TRACE"),
        (Method::Patch, "PATCH"),
    ];

    /// As it stands in a request.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Other(name) => name,
            named => Self::NAMED.iter().find(|(method, _)| method == named).map_or("", |(_, name)| name),
        }
    }

    /// The method of that name.
    pub fn of(name: &str) -> Method {
        let named = Self::NAMED.iter().find(|(_, known)| *known == name);
        named.map_or_else(|| Method::Other(name.to_owned()), |(method, _)| method.clone())
    }

    /// Whether a request of it may be made again: it asks and changes nothing.
    pub fn is_safe(&self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options)
    }
}

/// `variant scheme`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
#[allow(missing_docs)]
pub enum Scheme {
    #[component(name = "HTTP")]
    Http,
    #[component(name = "HTTPS")]
    Https,
    #[component(name = "other")]
    Other(String),
}
recordable_variant!(Scheme { Http, Https, Other(name) });

impl Scheme {
    /// As it stands in an address.
    pub fn as_str(&self) -> &str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Other(name) => name,
        }
    }

    /// The scheme of that name.
    pub fn of(name: &str) -> Scheme {
        match name {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            name => Scheme::Other(name.to_owned()),
        }
    }
}

/// `record DNS-error-payload`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
#[allow(missing_docs)]
pub struct DnsErrorPayload {
    #[component(name = "rcode")]
    pub rcode: Option<String>,
    #[component(name = "info-code")]
    pub info_code: Option<u16>,
}
recordable_record!(DnsErrorPayload { rcode, info_code });

/// `record TLS-alert-received-payload`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
#[allow(missing_docs)]
pub struct TlsAlertReceivedPayload {
    #[component(name = "alert-id")]
    pub alert_id: Option<u8>,
    #[component(name = "alert-message")]
    pub alert_message: Option<String>,
}
recordable_record!(TlsAlertReceivedPayload { alert_id, alert_message });

/// `record field-size-payload`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
#[allow(missing_docs)]
pub struct FieldSizePayload {
    #[component(name = "field-name")]
    pub field_name: Option<String>,
    #[component(name = "field-size")]
    pub field_size: Option<u32>,
}
recordable_record!(FieldSizePayload { field_name, field_size });

macro_rules! error_codes {
    ($($case:ident $(($payload:ty))? = $name:literal),+ $(,)?) => {
        /// `variant error-code`.
        #[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
        #[component(variant)]
        #[allow(missing_docs)]
        pub enum ErrorCode {
            $(#[component(name = $name)] $case $(($payload))?),+
        }
        impl ErrorCode {
            /// The case's name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(error_codes!(@pattern $case $($payload)?) => $name),+
                }
            }
        }
    };
    (@pattern $case:ident) => { ErrorCode::$case };
    (@pattern $case:ident $payload:ty) => { ErrorCode::$case(_) };
}
error_codes! {
    DnsTimeout = "DNS-timeout",
    DnsError(DnsErrorPayload) = "DNS-error",
    DestinationNotFound = "destination-not-found",
    DestinationUnavailable = "destination-unavailable",
    DestinationIpProhibited = "destination-IP-prohibited",
    DestinationIpUnroutable = "destination-IP-unroutable",
    ConnectionRefused = "connection-refused",
    ConnectionTerminated = "connection-terminated",
    ConnectionTimeout = "connection-timeout",
    ConnectionReadTimeout = "connection-read-timeout",
    ConnectionWriteTimeout = "connection-write-timeout",
    ConnectionLimitReached = "connection-limit-reached",
    TlsProtocolError = "TLS-protocol-error",
    TlsCertificateError = "TLS-certificate-error",
    TlsAlertReceived(TlsAlertReceivedPayload) = "TLS-alert-received",
    HttpRequestDenied = "HTTP-request-denied",
    HttpRequestLengthRequired = "HTTP-request-length-required",
    HttpRequestBodySize(Option<u64>) = "HTTP-request-body-size",
    HttpRequestMethodInvalid = "HTTP-request-method-invalid",
    HttpRequestUriInvalid = "HTTP-request-URI-invalid",
    HttpRequestUriTooLong = "HTTP-request-URI-too-long",
    HttpRequestHeaderSectionSize(Option<u32>) = "HTTP-request-header-section-size",
    HttpRequestHeaderSize(Option<FieldSizePayload>) = "HTTP-request-header-size",
    HttpRequestTrailerSectionSize(Option<u32>) = "HTTP-request-trailer-section-size",
    HttpRequestTrailerSize(FieldSizePayload) = "HTTP-request-trailer-size",
    HttpResponseIncomplete = "HTTP-response-incomplete",
    HttpResponseHeaderSectionSize(Option<u32>) = "HTTP-response-header-section-size",
    HttpResponseHeaderSize(FieldSizePayload) = "HTTP-response-header-size",
    HttpResponseBodySize(Option<u64>) = "HTTP-response-body-size",
    HttpResponseTrailerSectionSize(Option<u32>) = "HTTP-response-trailer-section-size",
    HttpResponseTrailerSize(FieldSizePayload) = "HTTP-response-trailer-size",
    HttpResponseTransferCoding(Option<String>) = "HTTP-response-transfer-coding",
    HttpResponseContentCoding(Option<String>) = "HTTP-response-content-coding",
    HttpResponseTimeout = "HTTP-response-timeout",
    HttpUpgradeFailed = "HTTP-upgrade-failed",
    HttpProtocolError = "HTTP-protocol-error",
    LoopDetected = "loop-detected",
    ConfigurationError = "configuration-error",
    InternalError(Option<String>) = "internal-error",
}
recordable_variant!(ErrorCode {
    DnsTimeout,
    DnsError(of),
    DestinationNotFound,
    DestinationUnavailable,
    DestinationIpProhibited,
    DestinationIpUnroutable,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectionTimeout,
    ConnectionReadTimeout,
    ConnectionWriteTimeout,
    ConnectionLimitReached,
    TlsProtocolError,
    TlsCertificateError,
    TlsAlertReceived(of),
    HttpRequestDenied,
    HttpRequestLengthRequired,
    HttpRequestBodySize(of),
    HttpRequestMethodInvalid,
    HttpRequestUriInvalid,
    HttpRequestUriTooLong,
    HttpRequestHeaderSectionSize(of),
    HttpRequestHeaderSize(of),
    HttpRequestTrailerSectionSize(of),
    HttpRequestTrailerSize(of),
    HttpResponseIncomplete,
    HttpResponseHeaderSectionSize(of),
    HttpResponseHeaderSize(of),
    HttpResponseBodySize(of),
    HttpResponseTrailerSectionSize(of),
    HttpResponseTrailerSize(of),
    HttpResponseTransferCoding(of),
    HttpResponseContentCoding(of),
    HttpResponseTimeout,
    HttpUpgradeFailed,
    HttpProtocolError,
    LoopDetected,
    ConfigurationError,
    InternalError(of),
});

impl ErrorCode {
    /// An internal error that says this.
    pub fn internal(text: impl Into<String>) -> ErrorCode {
        ErrorCode::InternalError(Some(text.into()))
    }

    /// What is said of a request whose outcome a crash hid.
    pub fn unknown() -> ErrorCode {
        ErrorCode::internal("the outcome of this request is unknown: the node stopped while it was under way")
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorCode::InternalError(Some(text)) => f.write_str(text),
            other => f.write_str(other.name()),
        }
    }
}
impl std::error::Error for ErrorCode {}

/// `variant header-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
#[allow(missing_docs)]
pub enum HeaderError {
    #[component(name = "invalid-syntax")]
    InvalidSyntax,
    #[component(name = "forbidden")]
    Forbidden,
    #[component(name = "immutable")]
    Immutable,
}
recordable_enum!(HeaderError { InvalidSyntax, Forbidden, Immutable });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_found_by_its_name() {
        for (method, name) in Method::NAMED {
            assert_eq!((method.as_str(), Method::of(name)), (name, method.clone()));
        }
        assert_eq!(Method::of("get"), Method::Other("get".to_owned()));
        assert!(Method::Get.is_safe() && !Method::Post.is_safe() && !Method::of("get").is_safe());
    }
}
