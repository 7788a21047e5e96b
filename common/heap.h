/* SPDX-License-Identifier: MIT */
/*
 * A binary heap of deadlines whose nodes are embedded in the objects that wait. The smallest key is
 * on top; inserting, moving and removing take O(log n). One heap drives all timers of the daemon.
 */
#pragma once

#include "common/macros.h"

struct heap_node {
    int64_t key;
    size_t index; /* one-based; 0: not in a heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count, capacity;
};

void heap_deinit(struct heap *heap);
/** Inserts the node with this key, or moves it if it is already in the heap. */
void heap_set(struct heap *heap, struct heap_node *node, int64_t key);
/** Removes the node; harmless if it is not in the heap. */
void heap_remove(struct heap *heap, struct heap_node *node);
/** The node with the smallest key, or NULL. */
struct heap_node *heap_top(const struct heap *heap);
