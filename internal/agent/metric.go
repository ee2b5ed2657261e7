// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// metrics are Velero's of node agents, and two of ours. What belongs to one object goes with it.
type metrics struct {
	node               string
	enqueued, dequeued *prometheus.CounterVec
	latency            *prometheus.HistogramVec
	lastLatency        *prometheus.GaugeVec
	outcomes           *prometheus.CounterVec
	bytes              *prometheus.CounterVec
}

func newMetrics(node string, registry prometheus.Registerer) (*metrics, error) {
	const prefix = "podVolume"
	one := []string{"node"}
	each := []string{"node", "operation", "backupName", "pod_volume_backup"}
	m := &metrics{
		node:     node,
		enqueued: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: prefix, Name: "pod_volume_backup_enqueue_count", Help: "Volumes that were taken to be saved or restored"}, one),
		dequeued: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: prefix, Name: "pod_volume_backup_dequeue_count", Help: "Volumes of these that were begun"}, one),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: prefix, Name: "pod_volume_operation_latency_seconds", Help: "Time that a volume took", Buckets: []float64{
			time.Minute.Seconds(), (5 * time.Minute).Seconds(), (10 * time.Minute).Seconds(), (15 * time.Minute).Seconds(), (30 * time.Minute).Seconds(),
			time.Hour.Seconds(), (2 * time.Hour).Seconds(), (3 * time.Hour).Seconds(), (4 * time.Hour).Seconds(),
		}}, each),
		lastLatency: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: prefix, Name: "pod_volume_operation_latency_seconds_gauge", Help: "Time that a volume took"}, each),
		outcomes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hozon_pod_volume_total", Help: "Volumes by what became of them"}, []string{"node", "operation", "phase"}),
		bytes:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hozon_pod_volume_bytes_total", Help: "Bytes of volumes that were saved or restored"}, []string{"node", "operation"}),
	}
	for _, c := range []prometheus.Collector{m.enqueued, m.dequeued, m.latency, m.lastLatency, m.outcomes, m.bytes} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	m.enqueued.WithLabelValues(node)
	m.dequeued.WithLabelValues(node)
	return m, nil
}

func (m *metrics) queued() { m.enqueued.WithLabelValues(m.node).Inc() }
func (m *metrics) begun()  { m.dequeued.WithLabelValues(m.node).Inc() }

func (m *metrics) ended(o order, p phase, took time.Duration, bytes int64) {
	if p == "" {
		return
	}
	of := o.object().GetLabels()[velerov1.LabelBackupName]
	if of == "" {
		of = o.object().GetLabels()[velerov1.LabelRestoreName]
	}
	m.latency.WithLabelValues(m.node, o.kind(), of, o.object().GetName()).Observe(took.Seconds())
	m.lastLatency.WithLabelValues(m.node, o.kind(), of, o.object().GetName()).Set(took.Seconds())
	m.outcomes.WithLabelValues(m.node, o.kind(), string(p)).Inc()
	m.bytes.WithLabelValues(m.node, o.kind()).Add(float64(bytes))
}

// forget lets go of what belongs to an object that is gone.
func (m *metrics) forget(name string) {
	m.latency.DeletePartialMatch(prometheus.Labels{"pod_volume_backup": name})
	m.lastLatency.DeletePartialMatch(prometheus.Labels{"pod_volume_backup": name})
}
