"""Every constant of the measurement, each with where it comes from.

Times are in samples of 2 ms unless the name says otherwise. Sources: 12SL, what GE Marquette 12SL was seen to do in
MUSE exports, or what its documents say; MUSE, set so that those exports' values are met; LUDB, chosen for the smallest
scatter against the manual boundaries of the 100 odd records of LUDB 1.0.1, on which its accuracy is therefore
in-sample; PTB-XL, seen on 1,625 of its records; signal, a property of the signal or of the arithmetic. What names none
of these is a working limit: a choice without a source. The MUSE exports are three, of one person. LUDB's amplitudes are
not calibrated, so that its µV values are orders of magnitude.

Generated ECGs and what 12SL said of them set no constant of a boundary or an amplitude, but two
choices were made after looking at them. That the leads are looked at singly, as 12SL does, and not only together, was
decided after the latter had been seen to disagree with 12SL's published means, while LUDB and MUSE had left the choice
open. And the limits below which there is no P wave were loosened after 0.37 % of 20,480 generated ECGs had been without
one (0.28 % since), within the range that LUDB and PTB-XL leave open; on these the change is not seen.
"""

from typing import NamedTuple

from pipeline.leads import SAMPLING_RATE_HZ

MEASUREMENT_VERSION = "1.2.0"
"""Changes whenever a measured value does, from one published state to the next."""
MS_PER_SAMPLE = 1000 / SAMPLING_RATE_HZ
CHUNK_RECORDS = 64
"""Records measured together: fewer cost more calls, more need more memory. No result depends on it."""
CACHED_RECORDS = 8
"""Records whose samples, or single beats, are worked on together: some 1.5 MB, near a core's cache; likewise."""

# Filtering
PADDING = 500  # signal: one second of reflection at either end; 6000 samples are a fast transform length
HIGHPASS_HZ = 0.5  # AHA 2007, part I: zero-phase filters may cut at up to 0.67 Hz; above 0.5 Hz T was seen to change
HIGHPASS_EXPONENT = (
    8  # order 4 run forwards and backwards; steep, so that the fundamental of a rate of 60 keeps 99.6 % of its height
)
NOISE_ABOVE_HZ = 40.0  # the usual end of a monitoring band: little of a normal ECG lies above
WANDER_BELOW_HZ = 0.5
DETECTION_BAND_HZ = (3.0, 7.0, 20.0, 35.0)  # the pass band of 5 to 25 Hz, with raised cosine flanks
DETECTION_DECIMATION = 4  # the detection function holds nothing above 35 Hz: 125 values a second carry it

# QRS detection, in values of the decimated detection function (8 ms)
DETECTION_MEAN = 11  # 88 ms, about one QRS
REFRACTORY = 25  # 200 ms, the refractory time of ventricular muscle: 250 would miss premature beats
DETECTION_SHARE = 0.35  # LUDB: of the median of the maxima of ten one-second stretches
DETECTION_SHARE_OF_HIGHEST = {3: 0.24, 2: 0.15}  # LUDB: of the third and the second highest; T reaches 0.19 in 1 of 10
DETECTION_FLOOR_UV_S = 500.0  # signal: what a QRS of 20 µV in one lead reaches; less is not an ECG

# Beats
FEWEST_QRS = 4  # 12SL library statement 1676, "<4 QRS"
FEWEST_USED = 3  # a median of two is a mean
ALIGN_HALF = 40  # 80 ms either side of the fiducial point: the whole of a QRS
ALIGN_SEARCH = 15  # 30 ms
ALIGN_PASSES = 2
ALIKE_CORRELATION = 0.85  # LUDB: an ectopic beat's spatial velocity stays below it
RR_TOLERANCE = 0.15  # of the median RR, on either side of a beat that is to enter the median beat
BEAT_BEFORE = 240  # 12SL: a median beat of 600 samples, R near the 240th
BEAT_SAMPLES = 600
COMPARED = slice(BEAT_BEFORE - 110, BEAT_BEFORE + 200)  # P to T: what of a beat is compared with the median beat

# Delineation of the median beat
SMOOTHING_QUICK = 2.2  # LUDB: SD of a Gaussian, a low pass of 30 Hz; of 20 to 40 Hz it gave the smallest scatter
SMOOTHING_MEDIUM = 3.0  # LUDB: for QRS offset and single leads' P, a low pass of 22 Hz
SMOOTHING_SLOW = 4.0  # LUDB: for P detection and T, a low pass of 17 Hz
EQUALISING_FLOOR = 0.1  # working limit: a lead without QRS is weighted as if it had a tenth of the steepest
QRS_REACH = 50  # the steepest point of the median beat lies within 100 ms of the alignment point
QRS_EDGE_SHARE = 0.04  # MUSE: of a lead's steepest slope; with more, 12SL's J point is missed by 4 ms and more
QRS_QUIET_FACTOR = 5.0  # LUDB: slopes up to this multiple of the quiet parts of PQ and ST are not QRS; 3 scattered more
QRS_EDGE_MOST = 0.16  # working limit: but not more than this share of the steepest, whatever the slow waves
QRS_EDGE_OF_LARGEST = 0.03  # working limit: nor what is so small beside the record's steepest lead
QRS_LEAD_SHARE = 0.06  # of the steepest lead, what one must have to be asked: twice the least that is seen in it
QRS_LEADS_PASSED_OVER = 2  # LUDB: smallest scatter of 0 to 3
QRS_QUIET_SAMPLES = 7  # 14 ms below threshold end the QRS
PQ_QUIET = (110, 22)  # the 20th percentile of the 220 ms before the steepest point
ST_QUIET = (150, 22)  # the 15th percentile of the 300 ms after it
QRS_BEFORE_MOST = 70  # working limit: 140 ms
QRS_AFTER_MOST = 95  # working limit: 190 ms

P_BEFORE_MOST = 170  # PR up to 340 ms
P_MARGIN = 10  # samples beside it that are cut out with it: what slopes and means reach
P_HALF_MOST = 70  # half a P wave lasts 140 ms at most: beyond lies baseline
P_FOOT_SHARE = 0.2  # LUDB: height of the feet above the troughs, smallest scatter of 8 to 40 %
P_FOOT_SHIFT = 3.0  # MUSE: at 20 % of its height a P is still 6 ms inside 12SL's bounds
P_LEAD_FOOT_SHIFT = 2.0  # MUSE: at 20 % of its own height a lead's P is still 4 ms inside them
P_LEADS_APART = 40  # 80 ms: how far a lead's P may peak from that of all leads together
P_LEAD_SHARE = 0.15  # LUDB: of the highest lead's P, what a lead's must have to be asked
P_FEET_PASSED_OVER = 2  # LUDB: 2 and 3 scatter alike
P_SLOPES_PASSED_OVER = 3
P_SLOPE_SHARE = 0.3  # LUDB: of a lead's steepest slope in P; 20 % scattered more
P_SLOPE_OF_LARGEST = 0.1  # working limit: of the steepest lead's
P_SLOPE_QUIET_SAMPLES = 5  # LUDB: 10 ms below threshold end the P; longer runs reach into T and QRS
P_STEEPEST_REACH = 35  # the flanks of P are steepest within 70 ms of its peak
P_QUIET_MEAN = 9  # 18 ms: the quietest stretch between P and QRS is sought in their mean
P_QUIET_AFTER = 20  # LUDB: it lies at least 40 ms after P's peak; 30 to 50 ms made no difference
P_QUIET_BEFORE_QRS = 6  # 12 ms, beyond the reach of the smoothed QRS
P_LEVEL = (-6, -1)  # samples before QRS onset whose mean is the PQ level
P_PROMINENCE_UV = 12.0  # the lowest P that LUDB annotates has 17, the highest hump where it has none 13
P_LASTS = (25, 110)  # working limit: 50 to 220 ms; LUDB's last 86 to 158, pacing spikes less, fibrillation waves more
P_CORRELATION = 0.45  # in regular rhythm PTB-XL's normals but one have 0.64 and more, LUDB without P 0.32 and less
P_CORRELATION_IRREGULAR = 0.88  # LUDB: in irregular rhythm every annotated P has more; PTB-XL: 3 of 99 in AFIB
IRREGULAR_RR = 0.09  # LUDB: median change of RR as a share of RR; most with P are below, most AFIB above

T_AFTER_J = 40  # 80 ms
T_AFTER_QRS_MOST = 330  # 660 ms
T_RR_SHARE = (0.72, 20.0)  # working limit: QRS onset to T end takes at most this share of RR and 40 ms
T_BEFORE_NEXT = 25  # and ends 50 ms before the next QRS, which matters where RR varies
T_LEVEL = (-2, 1)  # samples about QRS onset whose mean is the level of T
T_VELOCITY_SHARE = 0.2  # LUDB: T has ended where its spatial velocity has fallen to this share of the steepest
T_TANGENT_SHIFT = 10.0  # the tangent at the steepest point meets the baseline 20 ms before T ends
T_LEADS_PASSED_OVER = 3  # LUDB: smallest robust scatter of 1 to 5
T_LEAD_SHARE = 0.1  # LUDB: of the highest lead's T, what a lead's must have to be asked
T_PROMINENCE_UV = 15.0  # LUDB: the lowest T has 25

# Amplitudes
SIGNIFICANT_WAVE_UV_MS = 160.0  # 12SL: a deflection of the QRS with less area is not a wave
T_FLAT_UV = 10.0  # 12SL stores 0 for a flat T; 2 of its steps of 4.88 µV
T_PHASE_UV = 50.0  # working limit: half a millimetre on paper: the least phase that makes a T biphasic
AXIS_LEAST_UV_MS = 160.0  # as for a wave: with less net area in both leads there is no direction

# Quality: the doubts of a careful reader, at both tails
FLAT_UV = 20.0  # peak to peak over one second: no QRS in this lead
CLIPPED_SAMPLES = 10  # equal neighbours at a lead's extremum; 11 of LUDB's 100 odd records have as many
CLIPPED_BRIEFLY, CLIPPED_TIMES = 3, 4  # LUDB, PTB-XL, Georgia: none is at its extremum for 6 ms in four beats
HIGHEST_UV = 5000.0  # IEC 60601-2-25: the input range of an electrocardiograph
# A steep QRS has 10 to 25 µV above 40 Hz itself, so that less noise than this is not told from it: white noise of 20 µV
# raised no flag and made QRS 6 ms longer on average, P 2 ms (LUDB, Georgia, PTB-XL).
NOISY_UV = 30.0
WANDER_UV = 250.0  # LUDB: the 97.5th percentile of near-normal records is 226
UNLIKE_CORRELATION = 0.8  # LUDB: the 2.5th percentile of near-normal records is 0.82
RESIDUAL_UV = (3.0, 70.0)  # below: copies of a template; above: 97.5th percentile of 40 PTB-XL and Georgia records
RR_VARIATION_LEAST = 0.005  # LUDB: the 2.5th percentile of near-normal records is 0.008; below, a metronome
P_CORRELATION_DOUBT = 0.75  # LUDB: below every annotated P
P_AFTER_T_MS = 20.0  # a P that begins sooner after T may be a part of it
T_SPREAD_DOUBT_MS = 30.0  # LUDB: within it the scatter of QT is that of readers
LIKELY_MS = {
    "p_duration_ms": (60, 180),
    "pr_interval_ms": (80, 300),
    "qrs_duration_ms": (60, 160),
    "qt_interval_ms": (280, 520),
    "qtc_bazett_ms": (330, 520),
}
"""Working limits: outside these the measurement is suspect; generous to either side of the ranges of health."""

# Units: what a typical second of an ECG's largest lead has from peak to peak lies between 300 and 10,000 µV
SECOND_UV = (20.0, 50000.0)  # signal: beyond, of the same ECG in mV (10 at most) and nV (300,000 at least)

# Pacing spikes
SPIKE_REACH = 8  # working limit: samples before the top that are looked at; the recording's last 32 ms are not
SPIKE_TOGETHER = 4  # working limit: tops of one spike in several leads lie within 8 ms
FEWEST_SPIKES = 4  # LUDB: paced records have 6 and 8, no other has more than 3; one for each of the fewest QRS
SPIKE_BEFORE, SPIKE_AFTER = 6, 5  # samples beside the tops that are replaced; LUDB: 3 leave what 150 Hz filters make


class Spike(NamedTuple):
    """What a pacing spike looks like."""

    height_uv: float
    """By which it leaves the line within 4 ms."""
    back: int
    """Samples after the top, when it has come back."""
    before_share: float
    """Of its height, what the lead may move in the 12 ms before; an R climbs out of a Q."""
    after_share: float
    """Of its height, what may remain when it is back."""
    leads: int
    """In which it is seen at once: as a vector it shows in several, while noise seldom does."""


NARROW_SPIKE = Spike(100.0, 4, 0.3, 0.5, 2)  # a millimetre on paper; LUDB: the spikes that survive in it have 120
WIDE_SPIKE = Spike(50.0, 10, 0.6, 0.6, 4)  # LUDB: the atrial spikes of record 45; other QRS are so once in 10 records

# Placement of the electrodes. Heights of leads are not compared, only shapes.
PLACEMENT_SPAN = (BEAT_BEFORE - 70, BEAT_BEFORE + 330, 2)  # signal: QRS to T, every second sample will do
P_TO_THE_LEFT_DEG = 90  # Han et al. 2014, De Bie et al. 2014: P is the sign that arms are exchanged, as atria are left
OPPOSITE_WITHOUT_P = 0.7  # LUDB: without P, QRS-T of I against V6; arms exchanged it is below -0.75 in 9 of 10
CHEST_TURNED = 0.5  # LUDB, PTB-XL: the correlation of I with V1 never exceeds that with V6 by more than 0.3
CHEST_EXCHANGED = 0.5  # PTB-XL: the sum of neighbours' five correlations would gain as much in 4 of 1,625 records
