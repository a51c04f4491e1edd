//! Histograms that someone else keeps: taken over whole, and shown as they are.
//!
//! Apart because the Prometheus library's own histograms can only be added to. It must not know whose they are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::metrics::Labels;
use crate::upstreams::Times;

/// One family of them, by labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken(Arc<Mutex<BTreeMap<Labels, Times>>>);

impl Taken {
    /// Takes one over.
    pub(super) fn set(&self, labels: Labels, times: Times) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(labels, times);
    }
}

impl EncodeMetric for Taken {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (labels, Times { sum, buckets }) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let count = buckets.iter().map(|(_, count)| count).sum();
            encoder.encode_family(labels)?.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
