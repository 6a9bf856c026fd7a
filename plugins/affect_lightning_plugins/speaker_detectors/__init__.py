"""Speaker detectors (plugin group `affect_lightning.speaker_detectors`): does the person in the picture say what is heard?"""
