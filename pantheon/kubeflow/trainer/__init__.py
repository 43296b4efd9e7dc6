"""TrainJobs of Kubeflow's Trainer, with their nodes as processes of this machine."""
