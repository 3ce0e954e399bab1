// A netlink socket whose datagrams reach JavaScript through a thread of its own.

#pragma once

#include "arguments.h"

// (protocol, groups Int32Array, receiveBuffer, callback(errno, datagram)) -> {handle, fd, portId}
// or a negative errno.
napi_value netlink_open(napi_env env, napi_callback_info info);
// (handle, datagram) -> 0 or a negative errno.
napi_value netlink_send(napi_env env, napi_callback_info info);
// (handle, whether it keeps the event loop alive)
napi_value netlink_keep_alive(napi_env env, napi_callback_info info);
// (handle); may be called twice.
napi_value netlink_close(napi_env env, napi_callback_info info);
