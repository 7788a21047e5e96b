/* SPDX-License-Identifier: MIT */
#include "common/heap.h"

#include "common/alloc.h"

void heap_deinit(struct heap *heap)
{
    free(heap->nodes);
    *heap = (struct heap){0};
}

static void heap_put(struct heap *heap, size_t index, struct heap_node *node)
{
    heap->nodes[index - 1] = node;
    node->index = index;
}

/* Moves the node from `index` to where its key belongs, up or down. */
static void heap_sift(struct heap *heap, size_t index, struct heap_node *node)
{
    for (; index > 1 && heap->nodes[index / 2 - 1]->key > node->key; index /= 2)
        heap_put(heap, index, heap->nodes[index / 2 - 1]);
    for (size_t child; (child = index * 2) <= heap->count; index = child) {
        if (child < heap->count && heap->nodes[child]->key < heap->nodes[child - 1]->key)
            child++;
        if (heap->nodes[child - 1]->key >= node->key)
            break;
        heap_put(heap, index, heap->nodes[child - 1]);
    }
    heap_put(heap, index, node);
}

void heap_set(struct heap *heap, struct heap_node *node, int64_t key)
{
    node->key = key;
    if (!node->index) {
        if (heap->count == heap->capacity) {
            heap->capacity = heap->capacity ? heap->capacity * 2 : 16;
            heap->nodes = xrealloc(heap->nodes, heap->capacity * sizeof(*heap->nodes));
        }
        heap->nodes[heap->count++] = node;
        node->index = heap->count;
    }
    heap_sift(heap, node->index, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t index = node->index;
    struct heap_node *last;

    if (!index)
        return;
    last = heap->nodes[--heap->count];
    node->index = 0;
    if (last != node)
        heap_sift(heap, index, last);
}

struct heap_node *heap_top(const struct heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}
