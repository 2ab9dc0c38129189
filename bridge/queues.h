/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_QUEUES_H
#define BRIDGE_QUEUES_H

struct daemon;

/*
 * queues_look(): are the queues of all streams still those of their names? A stream whose queue was
 * removed, or made anew, ends, and is opened again with what is there now; a leaf makes it, if there
 * is none. Once a second.
 */
void queues_look(struct daemon *d);

/*
 * queues_move(): the shares are others now. A stream that has another local queue gives back to the
 * old one what it held of it, and is opened again with the new one.
 */
void queues_move(struct daemon *d);

#endif
