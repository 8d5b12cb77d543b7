"""What a server says of itself to Prometheus.

Every room counts in plain numbers of its own; here they are read, when somebody asks, and written
down under the names that ``docs/operations.md`` explains. Cameras are never labels: two thousand of
them times four histograms would be more series than all else together, and a camera's last picture
and presence are in ``/api/cameras``.
"""
