/* SPDX-License-Identifier: MIT */
/*
 * A binary heap of deadlines whose nodes live inside the objects that wait. The smallest key is on
 * top; arming, moving and removing cost O(log n). One heap a daemon drives all of its timers.
 */
#pragma once

#include "common/macros.h"

struct heap_node {
    int64_t key;
    size_t place; /* one-based; 0: in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count, capacity;
};

void heap_deinit(struct heap *heap);
/** Puts the node in with this key, or moves it when it is in already. */
void heap_set(struct heap *heap, struct heap_node *node, int64_t key);
/** Takes the node out; harmless when it is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);
/** The node with the smallest key, or NULL. */
struct heap_node *heap_top(const struct heap *heap);
