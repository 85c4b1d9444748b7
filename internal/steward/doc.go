// Package steward keeps the members of a detached fleet's store as they should be: as many as the
// cluster's ideal, on hosts that are there, each with its order, and the world told where they are.
//
// One runs beside every member. Whoever holds the lock in the store acts; the others wait for it.
// It looks at the store, the members and the hosts (look.go), adds what only time tells (memory.go),
// decides (plan.go, change.go: pure functions of a view), carries the decision out (action.go) and
// looks again. Whatever it does may be interrupted at any point: all that counts is in the store, so
// the next steward, seeing half of something, finishes it.
//
// # How many
//
// The ideal, or as many hosts as there are if these are fewer; always odd, since an even number
// stands no more losses than the odd one below it and has one host more that may fail. A host that
// went away counts until it has been gone for Cluster.MemberTimeout, so that a reboot does not make
// the number shrink and grow.
//
// # One change at a time
//
// While there is a learner, nothing else is changed: what it was told to begin with lists exactly
// the members there are. Nothing is changed either while there is no leader or no majority that
// answers, and nobody is removed unless a majority of those who remain answers. A new member is
// always a learner first: it does not count towards the majority before it has caught up, so one
// that never comes up costs nothing. It is promoted once the leader says that it has caught up, and
// removed if it does not come up in LearnerTimeout; its host is then left alone for a while that
// doubles each time.
//
// # Who goes
//
// A member whose host leaves goes at once, after handing on the lead. If it is the only one, another
// joins first: then alone there are two for a moment, which is one more than the ideal.
//
// A member that has not answered for MemberTimeout goes if a host is there to take its place: maybe
// its own, whose store then begins anew, unless there is another. It goes before the other comes: the number is never above
// the ideal, and to lose a member that does not answer loses nothing, since it helped no majority.
// Without such a host it stays, for it may return.
//
// Of those too many, the ones that do not answer go first, and the leader never. Where members stand
// equal, names decide, so that every steward would choose the same.
//
// A steward never removes its own member, which would cut it off in the middle; it gives up the lock
// to another steward, which does.
//
// # Orders
//
// A member's order stands in the store for as long as the membership does. One that belongs to no
// member is dropped; its host takes its store away then, and can be asked again. A learner without
// an order is one whose steward died between the two writes; it is known by its address and gets its
// order. A member that answers gets a lost order back. One that does not answer does not: its host
// may have read that there is none and have taken the store away, and a member that has forgotten
// what it voted for must not return; it is replaced in time.
//
// # Time
//
// How long something has lasted is added up from look to look, and a look adds a few seconds at
// most. So neither a clock that jumps nor a process that was stopped for a while replaces a member
// early, and a clock that jumps back only delays. A steward that takes over begins at zero.
package steward
