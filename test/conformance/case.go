// SPDX-License-Identifier: Apache-2.0

package conformance

// Way is how a backup is brought back.
type Way string

const (
	NewCluster   Way = "new cluster"
	NewNamespace Way = "new namespace"
	None         Way = "none"
	Update       Way = "update"
	Recreate     Way = "recreate"
)

// Ways are all of them, in the order in which they run.
var Ways = []Way{NewNamespace, None, Update, Recreate, NewCluster}

// existing says that the originals are there.
func (w Way) existing() bool { return w == None || w == Update || w == Recreate }

// Case is one of the cases. Its objects are in cases/<id>.yaml, with $NS for its namespace (conf-<id>), $HOOK, $PORT and $CA for the test's webhooks.
// What the new cluster has before the restore is in cases/<id>.target.yaml.
type Case struct {
	ID, Title string
	// Ready says that the source is as it is to be backed up.
	Ready func(s *Scene) bool
	// Before is done before a restore, in each way but those over the originals.
	Before func(s *Scene)
	// Drift changes the originals. It is done before each restore over them.
	Drift func(s *Scene)
	// Changed and Fixed are the objects that Drift changes: such as an update mends, and such as only recreating does. "configmaps/a"
	Changed, Fixed []string
	// Free are objects of which Check says all that is to be said; of others, each has to be as it was saved.
	Free []string
	// Check says what else has to hold after a restore.
	Check func(s *Scene)
	// Explained are parts of the warnings that each further restore into the new cluster may give.
	Explained []string
}

// Cases are all of them.
func Cases() []Case {
	return []Case{
		webhooks(), owners(), services(), volumes(), statefulSet(), changedDeployment(), autoscaler(), sidecars(), limits(), versions(),
		finalizers(), accounts(), immutables(), statuses(), sizes(), references(), tracking(), clusterAPI(), modifiers(), conversions(), aggregated(),
	}
}
