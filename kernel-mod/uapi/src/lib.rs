//! The interface of `/dev/holon`.
#![no_std]
#![forbid(unsafe_code)]
