/* SPDX-License-Identifier: MIT */
#include "common/heap.h"

#include "common/alloc.h"

void heap_deinit(struct heap *heap)
{
    free(heap->nodes);
    *heap = (struct heap){0};
}

static void heap_place(struct heap *heap, size_t place, struct heap_node *node)
{
    heap->nodes[place - 1] = node;
    node->place = place;
}

/* Moves the node from `place` to where its key belongs, up or down. */
static void heap_sift(struct heap *heap, size_t place, struct heap_node *node)
{
    for (; place > 1 && heap->nodes[place / 2 - 1]->key > node->key; place /= 2)
        heap_place(heap, place, heap->nodes[place / 2 - 1]);
    for (size_t child; (child = place * 2) <= heap->count; place = child) {
        if (child < heap->count && heap->nodes[child]->key < heap->nodes[child - 1]->key)
            child++;
        if (heap->nodes[child - 1]->key >= node->key)
            break;
        heap_place(heap, place, heap->nodes[child - 1]);
    }
    heap_place(heap, place, node);
}

void heap_set(struct heap *heap, struct heap_node *node, int64_t key)
{
    node->key = key;
    if (!node->place) {
        if (heap->count == heap->capacity) {
            heap->capacity = heap->capacity ? heap->capacity * 2 : 16;
            heap->nodes = xrealloc(heap->nodes, heap->capacity * sizeof(*heap->nodes));
        }
        heap->nodes[heap->count++] = node;
        node->place = heap->count;
    }
    heap_sift(heap, node->place, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t place = node->place;
    struct heap_node *last;

    if (!place)
        return;
    last = heap->nodes[--heap->count];
    node->place = 0;
    if (last != node)
        heap_sift(heap, place, last);
}

struct heap_node *heap_top(const struct heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}
