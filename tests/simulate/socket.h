/* SPDX-License-Identifier: MIT */
/*
 * The clients' ends of acpd's connections. How much a real socket takes depends on the machine, so
 * that acpd's take 16 KiB that a client has not read, in the place of accept4(), send() and
 * libevent's events for writing.
 */
#pragma once

#define DESCRIPTORS_MAX 256

/** Connects to acpd, without blocking. */
int socket_connect(const char *path);
/** Hangs up, which closes the descriptor. */
void socket_hang_up(int client);
/** acpd has gone: it accepts those no more who wait for it. */
void socket_forget_waiting(void);
/** Before a pass: acpd may write again where clients have read. */
void socket_let_write(void);
